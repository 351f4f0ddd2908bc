/* SPDX-License-Identifier: Apache-2.0
 *
 * The two ends of a run: the caller's tensors go to the places that steps read and write, and what
 * no step could write into the caller's memory is copied out afterwards.
 */
#include "base/error.h"
#include "execute/run_state.h"

#include <string.h>

static void places_set(feri_patch *patch, fer_mem mem) {
    for (uint32_t i = 0; i < patch->count; i++) {
        *patch->places[i] = mem;
    }
}

/* ---- inputs ---- */

/* A tensor on a device that host steps or host-memory devices read: a stand-in in host memory. */
static fer_status input_stand_in(feri_run_state *state,
                                 feri_run *run,
                                 uint32_t index,
                                 const fer_tensor *tensor,
                                 fer_tensor **out_tensor) {
    fer_tensor *copy = NULL;
    if ((run->flags & FER_RUN_ZERO_COPY) != 0) {
        return feri_fail(FER_INVALID_INPUT,
                         "input '%s' lies on a device but is needed in host memory, and "
                         "FER_RUN_ZERO_COPY allows no copy",
                         state->plan->graph->values[state->plan->graph->inputs[index]].name);
    }
    FER_TRY(fer_tensor_create(
        (fer_context *)state->env, tensor->dtype, tensor->rank, tensor->dims, &copy));
    fer_status status = fer_tensor_copy(tensor, copy);
    if (status != FER_OK) {
        fer_tensor_release(copy);
        return status;
    }
    if (run->record != NULL) {
        run->record->import_copies_bytes += tensor->bytes;
    }
    state->temps[index] = copy;
    state->has_temps = 1;
    *out_tensor = copy;
    return FER_OK;
}

fer_status feri_run_state_set_inputs(feri_run_state *state, feri_run *run, const feri_arg *inputs) {
    const feri_plan *plan = state->plan;
    for (uint32_t i = 0; i < plan->graph->input_count; i++) {
        uint32_t slot = state->input_slots[i];
        fer_tensor *tensor = inputs[i].tensor;
        if (slot == FERI_NO_SLOT || tensor == NULL || tensor->dtype == FER_STRING) {
            continue;
        }
        feri_session *session = NULL;
        if (tensor->buffer->host == NULL) {
            session = feri_buffer_session(tensor->buffer);
            if (plan->slots[slot].is_read_by_step) {
                FER_TRY(input_stand_in(state, run, i, tensor, &tensor));
                session = NULL;
            }
        }
        fer_mem mem = feri_tensor_mem(tensor);
        mem.handle = session == NULL ? NULL : mem.handle; /* of no use to another device */
        state->slot_mems[slot] = mem;
        state->slot_sessions[slot] = session;
        places_set(&state->input_patches[i], mem);
    }
    return FER_OK;
}

/* ---- outputs ---- */

fer_status feri_output_check(const char *name,
                             const fer_tensor *tensor,
                             fer_dtype dtype,
                             int32_t rank,
                             const int64_t *dims) {
    if (tensor->dtype != dtype) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "the tensor bound to output '%s' is %s, the output is %s",
                         name,
                         fer_dtype_name(tensor->dtype),
                         fer_dtype_name(dtype));
    }
    if ((int32_t)tensor->rank != rank ||
        (rank > 0 && memcmp(tensor->dims, dims, (size_t)rank * sizeof(int64_t)) != 0)) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "the tensor bound to output '%s' has another shape than the output: bind "
                         "one of the output's "
                         "shape, or none to receive a new one",
                         name);
    }
    return FER_OK;
}

fer_status feri_run_state_set_outputs(feri_run_state *state, feri_arg *outputs, uint8_t *is_new) {
    const feri_plan *plan = state->plan;
    for (uint32_t i = 0; i < plan->graph->output_count; i++) {
        uint32_t slot = plan->output_slots[i];
        if (plan->slots[slot].at != FERI_AT_OUTPUT || plan->slots[slot].index != i) {
            continue;
        }
        const feri_fact *fact = &plan->graph->values[plan->slots[slot].value].fact;
        const int64_t *dims = state->binding->slot_dims[slot];
        fer_tensor *tensor = outputs[i].tensor;
        if (tensor != NULL) {
            FER_TRY(feri_output_check(
                plan->graph->output_names[i], tensor, fact->dtype, fact->rank, dims));
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
                is_new[i] = 1;
            } else {
                state->temps[plan->graph->input_count + i] = made;
                state->has_temps = 1;
            }
            tensor = made;
        }
        feri_session *session =
            tensor->buffer->host == NULL ? feri_buffer_session(tensor->buffer) : NULL;
        fer_mem mem = feri_tensor_mem(tensor);
        mem.handle = session == NULL ? NULL : mem.handle;
        state->slot_mems[slot] = mem;
        state->slot_sessions[slot] = session;
        places_set(&state->output_patches[i], mem);
    }
    return FER_OK;
}

/* ---- values of slots ---- */

static fer_status slot_tensor(feri_run_state *state,
                              uint32_t index,
                              const feri_arg *inputs,
                              fer_tensor **out_tensor) {
    const feri_plan *plan = state->plan;
    const feri_slot *slot = &plan->slots[index];
    const feri_gvalue *value = &plan->graph->values[slot->value];
    if (slot->at == FERI_AT_CONST) {
        *out_tensor = fer_tensor_retain(value->constant);
        return FER_OK;
    }
    if (slot->at == FERI_AT_INPUT) {
        fer_tensor *stand_in = state->temps[slot->index];
        *out_tensor = fer_tensor_retain(stand_in != NULL ? stand_in : inputs[slot->index].tensor);
        return FER_OK;
    }
    const int64_t *dims =
        slot->is_late ? state->late_dims[index] : state->binding->slot_dims[index];
    fer_tensor *tensor = NULL;
    FER_TRY(fer_tensor_create(
        (fer_context *)state->env, value->fact.dtype, (uint32_t)value->fact.rank, dims, &tensor));
    fer_mem to = feri_tensor_mem(tensor);
    fer_status status = feri_mem_copy(
        NULL, &to, state->slot_sessions[index], &state->slot_mems[index], tensor->bytes);
    if (status != FER_OK) {
        fer_tensor_release(tensor);
        return status;
    }
    *out_tensor = tensor;
    return FER_OK;
}

fer_status feri_run_state_value(feri_run_state *state,
                                uint32_t index,
                                const feri_arg *inputs,
                                fer_value **out_value) {
    const feri_slot *slot = &state->plan->slots[index];
    if (slot->at == FERI_AT_VALUE) {
        *out_value = fer_value_retain(state->values[index]);
        return FER_OK;
    }
    if (slot->at == FERI_AT_INPUT && inputs[slot->index].tensor == NULL) {
        *out_value = fer_value_retain(inputs[slot->index].value);
        return FER_OK;
    }
    fer_tensor *tensor = NULL;
    FER_TRY(slot_tensor(state, index, inputs, &tensor));
    fer_status status = fer_value_from_tensor(tensor, out_value);
    fer_tensor_release(tensor);
    return status;
}

/* ---- export ---- */

static fer_status export_value(feri_run_state *state,
                               uint32_t slot,
                               const feri_arg *inputs,
                               feri_arg *out,
                               uint8_t *is_new,
                               uint32_t index) {
    fer_value *value = NULL;
    FER_TRY(feri_run_state_value(state, slot, inputs, &value));
    fer_tensor *tensor = fer_value_tensor(value);
    fer_status status = FER_OK;
    if (out->tensor != NULL && tensor != NULL) {
        status = feri_output_check(state->plan->graph->output_names[index],
                                   out->tensor,
                                   tensor->dtype,
                                   (int32_t)tensor->rank,
                                   tensor->dims);
        if (status == FER_OK) {
            status = fer_tensor_copy(tensor, out->tensor);
        }
    } else if (out->tensor != NULL) {
        status = feri_fail(FER_INVALID_ARGUMENT,
                           "output '%s' is not a tensor: bind nothing to it",
                           state->plan->graph->output_names[index]);
    } else if (tensor != NULL) {
        out->tensor = fer_tensor_retain(tensor);
        *is_new = 1;
    } else {
        out->value = fer_value_retain(value);
        *is_new = 1;
    }
    fer_value_release(value);
    return status;
}

/* What is an input or a constant, or goes to two outputs, gets memory of its own. */
static fer_status export_copy(feri_run_state *state,
                              uint32_t slot_index,
                              const feri_arg *inputs,
                              feri_arg *outputs,
                              uint32_t index,
                              uint8_t *is_new) {
    const feri_slot *slot = &state->plan->slots[slot_index];
    fer_tensor *source = NULL;
    if (slot->at == FERI_AT_OUTPUT) {
        fer_tensor *stand_in = state->temps[state->plan->graph->input_count + slot->index];
        source = fer_tensor_retain(stand_in != NULL ? stand_in : outputs[slot->index].tensor);
    } else {
        FER_TRY(slot_tensor(state, slot_index, inputs, &source));
    }
    fer_status status = FER_OK;
    fer_tensor *target = outputs[index].tensor;
    int is_own = slot->at == FERI_AT_ARENA || slot->at == FERI_AT_SHAPE;
    if (target == NULL && (is_own || source->dtype == FER_STRING)) {
        outputs[index].tensor = source; /* made just now, or immutable */
        *is_new = 1;
        return FER_OK;
    }
    if (target == NULL) {
        status = fer_tensor_create(
            (fer_context *)state->env, source->dtype, source->rank, source->dims, &target);
        if (status == FER_OK) {
            outputs[index].tensor = target;
            *is_new = 1;
        }
    } else {
        status = feri_output_check(state->plan->graph->output_names[index],
                                   target,
                                   source->dtype,
                                   (int32_t)source->rank,
                                   source->dims);
    }
    if (status == FER_OK) {
        status = fer_tensor_copy(source, target);
    }
    fer_tensor_release(source);
    return status;
}

fer_status feri_run_state_export(feri_run_state *state,
                                 feri_run *run,
                                 const feri_arg *inputs,
                                 feri_arg *outputs,
                                 uint8_t *is_new) {
    const feri_plan *plan = state->plan;
    (void)run;
    for (uint32_t i = 0; i < plan->graph->output_count; i++) {
        uint32_t index = plan->output_slots[i];
        const feri_slot *slot = &plan->slots[index];
        if (slot->at == FERI_AT_OUTPUT && slot->index == i) {
            continue;
        }
        if (slot->at == FERI_AT_VALUE ||
            (slot->at == FERI_AT_INPUT && inputs[slot->index].tensor == NULL)) {
            FER_TRY(export_value(state, index, inputs, &outputs[i], &is_new[i], i));
        } else {
            FER_TRY(export_copy(state, index, inputs, outputs, i, &is_new[i]));
        }
    }
    for (uint32_t i = 0; state->has_temps && i < plan->graph->output_count; i++) {
        fer_tensor *stand_in = state->temps[plan->graph->input_count + i];
        if (stand_in != NULL) {
            FER_TRY(fer_tensor_copy(stand_in, outputs[i].tensor));
        }
    }
    return FER_OK;
}
