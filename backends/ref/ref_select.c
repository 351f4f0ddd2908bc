/* SPDX-License-Identifier: Apache-2.0
 *
 * Where: elements of one of two broadcast operands, moved as they are. Called through the step
 * list.
 */
#include "ref/ref_elements.h"

static fer_status run_where(feri_ref_call *call) {
    feri_ref_tensor *out = call->out[0];
    uint32_t bits = feri_ref_bits(out->dtype);
    int64_t strides[4][FER_MAX_RANK];
    const int64_t *list[4] = {strides[0], strides[1], strides[2], strides[3]};
    for (uint32_t k = 0; k < 3; k++) {
        const feri_ref_tensor *in = call->in[k];
        if (!feri_kit_broadcast_strides(out->rank, out->dims, in->rank, in->dims, strides[k])) {
            return feri_ref_unfit(call);
        }
    }
    feri_kit_strides(out->rank, out->dims, strides[3]);
    feri_kit_walk walk;
    feri_kit_cursor at;
    feri_kit_walk_init(&walk, out->rank, out->dims, 4, list);
    for (int more = feri_kit_walk_begin(&walk, &at); more; more = feri_kit_walk_next(&walk, &at)) {
        for (int64_t i = 0; i < walk.inner; i++) {
            uint32_t from = call->in[0]->data[at.offset[0] + i * walk.step[0]] ? 1 : 2;
            feri_ref_copy_run(bits,
                              out->data,
                              (uint64_t)(at.offset[3] + i * walk.step[3]),
                              call->in[from]->data,
                              (uint64_t)(at.offset[from] + i * walk.step[from]),
                              1);
            if (feri_ref_poll(call, 1)) {
                return call->status;
            }
        }
    }
    return FER_OK;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_select[] = {
    FERI_REF_KERNEL(Where, 16, .run = run_where)
    FERI_REF_END
};
/* clang-format on */
