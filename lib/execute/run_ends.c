/* SPDX-License-Identifier: Apache-2.0
 *
 * Before the steps of a run: the caller's tensors, and new ones for outputs that it did not bind,
 * go to the places that steps read and write. Every warm run goes through here; what stands in for
 * a tensor on a device, and what no step could write in place, is export.c's.
 */
#include "base/error.h"
#include "execute/run_state.h"

#include <string.h>

static inline __attribute__((always_inline)) void
place_set(feri_run_state *state, uint32_t slot, const fer_tensor *tensor) {
    fer_mem mem = feri_tensor_mem(tensor);
    feri_session *session = NULL;
    if (mem.host == NULL) {
        session = feri_buffer_session(tensor->buffer);
    } else {
        mem.handle = NULL; /* of no use to another device */
    }
    state->slot_mems[slot] = mem;
    state->slot_sessions[slot] = session;
    for (const feri_patch *patch = state->patches[slot]; patch != NULL; patch = patch->next) {
        *patch->place = mem;
    }
}

fer_status feri_run_state_set_inputs(feri_run_state *state, feri_run *run, const feri_arg *inputs) {
    const feri_plan *plan = state->plan;
    for (uint32_t i = 0; i < plan->input_count; i++) {
        uint32_t slot = plan->input_slots[i];
        fer_tensor *tensor = inputs[i].tensor;
        if (slot == FERI_NO_SLOT || tensor == NULL || tensor->dtype == FER_STRING) {
            continue;
        }
        if (tensor->buffer->host == NULL && plan->slots[slot].is_read_by_step) {
            FER_TRY(feri_input_stand_in(state, run, i, &tensor));
        }
        place_set(state, slot, tensor);
    }
    return FER_OK;
}

static int tensor_fits(const fer_tensor *tensor, const feri_fact *fact, const int64_t *dims) {
    return tensor->dtype == fact->dtype && (int32_t)tensor->rank == fact->rank &&
           (fact->rank == 0 || memcmp(tensor->dims, dims, tensor->rank * sizeof(*dims)) == 0);
}

fer_status feri_run_state_set_outputs(feri_run_state *state, feri_arg *outputs) {
    const feri_plan *plan = state->plan;
    for (uint32_t i = 0; i < plan->output_count; i++) {
        uint32_t slot = plan->output_slots[i];
        if (plan->slots[slot].at != FERI_AT_OUTPUT || plan->slots[slot].index != i) {
            continue;
        }
        const feri_fact *fact = &plan->graph->values[plan->slots[slot].value].fact;
        const int64_t *dims = state->binding->slot_dims[slot];
        fer_tensor *tensor = outputs[i].tensor;
        if (tensor != NULL && !tensor_fits(tensor, fact, dims)) {
            return feri_output_check(
                plan->graph->output_names[i], tensor, fact->dtype, fact->rank, dims);
        }
        int is_away = tensor != NULL && tensor->buffer->host == NULL;
        /* What a copy step writes goes straight to another device; what we compute or read does
         * not. */
        int stands_in = is_away && (plan->steps[plan->slots[slot].first].kind != FERI_STEP_COPY ||
                                    plan->slots[slot].is_read_by_step);
        if (tensor == NULL || stands_in) {
            fer_tensor *made = NULL;
            FER_TRY(fer_tensor_create(
                (fer_context *)state->env, fact->dtype, (uint32_t)fact->rank, dims, &made));
            if (tensor == NULL) {
                outputs[i].tensor = made;
                state->is_new[i] = 1;
            } else {
                state->temps[plan->input_count + i] = made;
                state->has_temps = 1;
            }
            tensor = made;
        }
        place_set(state, slot, tensor);
    }
    return FER_OK;
}
