/* SPDX-License-Identifier: Apache-2.0
 *
 * Host steps: an op of host/ gets its inputs as values and a bridge to what the run was handed for
 * bodies and single ops. Called by the walk (steps.c).
 */
#include "base/error.h"
#include "execute/run_state.h"

typedef struct host_bridge {
    feri_run *run;
    const feri_step *step;
} host_bridge;

static fer_status bridge_body(void *self,
                              uint32_t body,
                              fer_value *const *inputs,
                              uint32_t input_count,
                              fer_value **outputs,
                              uint32_t output_count) {
    host_bridge *bridge = self;
    feri_run *run = bridge->run;
    return run->run_body(run->body_self,
                         run,
                         bridge->step->node_index,
                         body,
                         inputs,
                         input_count,
                         outputs,
                         output_count);
}

static fer_status
bridge_op(void *self, const feri_gnode *node, fer_tensor *const *inputs, fer_tensor **outputs) {
    host_bridge *bridge = self;
    return bridge->run->run_op(bridge->run->self, node, inputs, outputs);
}

static fer_status bridge_check(void *self) { return feri_run_check(((host_bridge *)self)->run); }

fer_status
feri_host_step(feri_run_state *state, feri_run *run, uint32_t index, const feri_arg *args) {
    const feri_step *step = &state->plan->steps[index];
    uint32_t count = step->input_count + step->output_count;
    uint64_t bytes = feri_mul_sat(count, sizeof(fer_value *));
    fer_value **values = feri_alloc(state->env, bytes);
    if (values == NULL) {
        return feri_error_status();
    }
    fer_value **outputs = values + step->input_count;
    host_bridge bridge = {run, step};
    feri_host_call call = {.env = state->env,
                           .graph = state->plan->graph,
                           .node = step->node,
                           .inputs = values,
                           .outputs = outputs,
                           .run_body = bridge_body,
                           .run_op = bridge_op,
                           .check = bridge_check,
                           .self = &bridge};
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < step->input_count && status == FER_OK; i++) {
        if (step->inputs[i] != FERI_NO_SLOT) {
            status = feri_run_state_value(state, step->inputs[i], args, &values[i]);
        }
    }
    void *body_self = run->body_self;
    if (status == FER_OK) {
        status = feri_run_check(run);
    }
    if (status == FER_OK) {
        status = feri_host_run(&call);
    }
    run->body_self = body_self; /* nested stages put their own here */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = step->inputs[i]; /* and the outputs' behind them */
        if (i < step->input_count || slot == FERI_NO_SLOT) {
            fer_value_release(values[i]);
        } else {
            state->values[slot] = values[i];
        }
    }
    feri_free(state->env, values, bytes);
    return status;
}
