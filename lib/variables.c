/* SPDX-License-Identifier: Apache-2.0
 *
 * Variables: behind the caller's inputs and outputs the segment gets one input per variable and one
 * output per assignment. A fer_state holds the tensors; a run that succeeds swaps the assigned ones
 * in and bumps the version.
 */
#include "base/error.h"
#include "program.h"

#include <string.h>

fer_status feri_variables_lower(fer_program *program, fer_graph *graph) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->value_count; i++) {
        count += graph->values[i].origin == FERI_ORIGIN_VARIABLE;
    }
    program->variables = FERI_BUMP_ARRAY(&program->bump, feri_variable, count);
    if (program->variables == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < graph->value_count; i++) {
        feri_gvalue *value = &graph->values[i];
        if (value->origin != FERI_ORIGIN_VARIABLE) {
            continue;
        }
        feri_variable *variable = &program->variables[program->variable_count];
        variable->name = feri_bump_strndup(&program->bump, value->name, strlen(value->name));
        if (variable->name == NULL) {
            return feri_error_status();
        }
        FER_TRY(feri_bump_grow(&graph->bump,
                          &graph->inputs,
                          &graph->input_capacity,
                          graph->input_count + 1,
                          sizeof(fer_value_id)));
        graph->inputs[graph->input_count++] = i;
        variable->initial = value->constant; /* moves: the program holds it from now on */
        value->constant = NULL;
        value->origin = FERI_ORIGIN_INPUT;
        value->fact.data = NULL;
        value->fact.elements = NULL;
        value->fact.element_count = 0;
        variable->output = UINT32_MAX;
        program->variable_count++;
        if (value->assigned != FER_NO_VALUE) {
            variable->output = graph->output_count;
            fer_value_id assigned = value->assigned;
            graph->values[i].assigned = FER_NO_VALUE;
            FER_TRY(feri_graph_append_output(graph, variable->name, assigned));
        }
    }
    feri_graph_reindex(graph);
    return FER_OK;
}

/* ---- the public state ---- */

static uint64_t state_bytes(const fer_program *program) {
    return sizeof(fer_state) + (uint64_t)program->variable_count * sizeof(fer_tensor *);
}

static void state_destroy(fer_state *state) {
    fer_program *program = state->program;
    for (uint32_t i = 0; i < program->variable_count; i++) {
        fer_tensor_release(state->tensors[i]);
    }
    feri_free(program->build.env, state, state_bytes(program));
    fer_program_release(program);
}

fer_status fer_state_create(fer_program *program, fer_state **out_state) {
    if (program == NULL || out_state == NULL) {
        return feri_null_argument("program or out_state");
    }
    feri_env *env = program->build.env;
    fer_state *state = feri_alloc(env, state_bytes(program));
    if (state == NULL) {
        return feri_error_status();
    }
    fer_status status = FER_OK;
    atomic_init(&state->refs, 1);
    state->program = fer_program_retain(program);
    for (uint32_t i = 0; i < program->variable_count && status == FER_OK; i++) {
        status = feri_tensor_clone(env, program->variables[i].initial, &state->tensors[i]);
    }
    if (status != FER_OK) {
        state_destroy(state);
        return status;
    }
    *out_state = state;
    return FER_OK;
}

fer_state *fer_state_retain(fer_state *state) {
    if (state != NULL) {
        atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
    }
    return state;
}

void fer_state_release(fer_state *state) {
    if (state != NULL && atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) == 1) {
        state_destroy(state);
    }
}

uint64_t fer_state_version(const fer_state *state) {
    return state == NULL ? 0 : atomic_load(&state->version);
}

static fer_status state_lock(fer_state *state) {
    if (atomic_exchange(&state->busy, 1) != 0) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "the state is in use by a run: one run at a time uses a state");
    }
    return FER_OK;
}

/* The variable's place, with the state locked. */
static fer_status variable_lock(fer_state *state, const char *name, fer_tensor ***out_variable) {
    for (uint32_t i = 0; state != NULL && name != NULL && i < state->program->variable_count; i++) {
        if (strcmp(state->program->variables[i].name, name) == 0) {
            *out_variable = &state->tensors[i];
            return state_lock(state);
        }
    }
    return feri_fail(
        FER_INVALID_ARGUMENT, "there is no variable '%s'", name == NULL ? "(null)" : name);
}

fer_status fer_state_get(fer_state *state, const char *name, fer_tensor **out_tensor) {
    fer_tensor **variable = NULL;
    if (out_tensor == NULL) {
        return feri_null_argument("out_tensor");
    }
    FER_TRY(variable_lock(state, name, &variable));
    fer_status status = feri_tensor_clone(state->program->build.env, *variable, out_tensor);
    atomic_store(&state->busy, 0);
    return status;
}

fer_status fer_state_set(fer_state *state, const char *name, const fer_tensor *tensor) {
    fer_tensor **variable = NULL, *copy = NULL;
    FER_TRY(variable_lock(state, name, &variable));
    fer_status status =
        tensor != NULL && feri_tensors_alike(*variable, tensor)
            ? feri_tensor_clone(state->program->build.env, tensor, &copy)
            : feri_fail(FER_INVALID_ARGUMENT, "variable '%s' keeps its dtype and shape", name);
    if (status == FER_OK) {
        fer_tensor_release(*variable);
        *variable = copy;
    }
    atomic_store(&state->busy, 0);
    return status;
}

/* ---- runs ---- */

fer_status feri_state_begin(fer_program *program, fer_state *state, feri_arg *out_inputs) {
    if (state != NULL && state->program != program) {
        return feri_fail(FER_INVALID_ARGUMENT, "the state belongs to another program");
    }
    if (state != NULL) {
        FER_TRY(state_lock(state));
    }
    for (uint32_t i = 0; i < program->variable_count; i++) {
        out_inputs[i] =
            (feri_arg){state != NULL ? state->tensors[i] : program->variables[i].initial, NULL};
    }
    return FER_OK;
}

void feri_state_end(fer_state *state,
                    feri_arg *results,
                    const fer_program *program,
                    fer_status status) {
    for (uint32_t i = 0; i < program->variable_count; i++) {
        uint32_t output = program->variables[i].output;
        if (output == UINT32_MAX || status != FER_OK) {
            continue;
        }
        if (state != NULL) {
            fer_tensor_release(state->tensors[i]);
            state->tensors[i] = results[output].tensor;
        } else {
            fer_tensor_release(results[output].tensor);
        }
        results[output].tensor = NULL;
    }
    if (state != NULL) {
        atomic_fetch_add(&state->version, status == FER_OK);
        atomic_store_explicit(&state->busy, 0, memory_order_release);
    }
}
