/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies at the two ends of a run: stand-ins for inputs on devices, slots as values for host steps
 * and outputs that no step could write into the caller's memory.
 */
#include "base/error.h"
#include "execute/run_state.h"

#include <string.h>

void feri_arg_release(feri_arg *arg) {
    fer_tensor_release(arg->tensor);
    fer_value_release(arg->value);
    *arg = (feri_arg){NULL, NULL};
}

fer_status
feri_input_stand_in(feri_run_state *state, feri_run *run, uint32_t index, fer_tensor **tensor) {
    const fer_graph *graph = state->plan->graph;
    if ((run->flags & FER_RUN_ZERO_COPY) != 0) {
        return feri_fail(FER_INVALID_INPUT,
                         "input '%s' lies on a device but is needed in host memory, and "
                         "FER_RUN_ZERO_COPY allows no copy",
                         graph->values[graph->inputs[index]].name);
    }
    FER_TRY(feri_tensor_clone(state->env, *tensor, tensor));
    if (run->record != NULL) {
        run->record->import_copies_bytes += (*tensor)->bytes;
    }
    state->temps[index] = *tensor;
    state->has_temps = 1;
    return FER_OK;
}

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

/* What is an input or a constant, or goes to two outputs, gets memory of its own. */
static fer_status export_tensor(
    feri_run_state *state, fer_tensor *source, int is_own, feri_arg *outputs, uint32_t index) {
    fer_tensor *target = outputs[index].tensor;
    if (target != NULL) {
        FER_TRY(feri_output_check(state->plan->graph->output_names[index],
                                  target,
                                  source->dtype,
                                  (int32_t)source->rank,
                                  source->dims));
        return fer_tensor_copy(source, target);
    }
    if (is_own || source->dtype == FER_STRING) { /* made just now, or immutable */
        outputs[index].tensor = fer_tensor_retain(source);
    } else {
        FER_TRY(feri_tensor_clone(state->env, source, &outputs[index].tensor));
    }
    state->is_new[index] = 1;
    return FER_OK;
}

static fer_status export_slot(feri_run_state *state,
                              uint32_t index,
                              const feri_arg *inputs,
                              feri_arg *outputs,
                              uint32_t output) {
    const feri_slot *slot = &state->plan->slots[index];
    int is_given = slot->at == FERI_AT_CONST ||
                   (slot->at == FERI_AT_INPUT && inputs[slot->index].tensor != NULL);
    fer_value *value = NULL;
    fer_tensor *given = NULL; /* without a value around it: a warm run allocates nothing */
    FER_TRY(is_given ? slot_tensor(state, index, inputs, &given)
                     : feri_run_state_value(state, index, inputs, &value));
    fer_tensor *tensor = is_given ? given : fer_value_tensor(value);
    fer_status status = FER_OK;
    if (tensor != NULL) {
        status = export_tensor(state, tensor, !is_given, outputs, output);
    } else if (outputs[output].tensor != NULL) {
        status = feri_fail(FER_INVALID_ARGUMENT,
                           "output '%s' is not a tensor: bind nothing to it",
                           state->plan->graph->output_names[output]);
    } else {
        outputs[output].value = fer_value_retain(value);
        state->is_new[output] = 1;
    }
    fer_tensor_release(given);
    fer_value_release(value);
    return status;
}

fer_status feri_run_state_export(feri_run_state *state, const feri_arg *inputs, feri_arg *outputs) {
    const feri_plan *plan = state->plan;
    for (uint32_t i = 0; i < plan->output_count; i++) {
        uint32_t index = plan->output_slots[i];
        const feri_slot *slot = &plan->slots[index];
        fer_tensor *stand_in = state->temps[plan->input_count + i];
        if (slot->at != FERI_AT_OUTPUT || slot->index != i) {
            FER_TRY(export_slot(state, index, inputs, outputs, i));
        } else if (stand_in != NULL) {
            FER_TRY(fer_tensor_copy(stand_in, outputs[i].tensor));
        }
    }
    return FER_OK;
}
