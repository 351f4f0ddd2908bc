/* SPDX-License-Identifier: Apache-2.0
 *
 * The op table as users see it: fer_op_count and fer_op_get.
 */
#include "base/error.h"
#include "op/op.h"

uint32_t fer_op_count(void) { return feri_op_table_count(); }

fer_status fer_op_get(uint32_t index, fer_op_info *out_info) {
    if (out_info == NULL || index >= feri_op_table_count()) {
        return feri_fail(FER_INVALID_ARGUMENT, "no op %u", index);
    }
    static const char families[][10] = {
#define FERI_FAMILY(name) #name,
        FERI_OP_FAMILIES(FERI_FAMILY)
#undef FERI_FAMILY
    };
    const feri_op *op = feri_op_at(index);
    fer_op_info info = {.struct_size = sizeof(info),
                        .number = op->number,
                        .domain = feri_op_domain(op),
                        .name = feri_op_name(op),
                        .revision = op->revision,
                        .has_expansion = op->expansion != 0,
                        .family = families[op->family]};
    feri_struct_out(out_info, &info, sizeof(info));
    return FER_OK;
}
