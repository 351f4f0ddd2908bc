/* SPDX-License-Identifier: Apache-2.0
 *
 * Loop and If. A Loop runs its body while the condition holds and trips are left; carried values of
 * any kind and shape go from one trip to the next, the other outputs are stacked along a new axis
 * 0. Trips are held against limits.max_loop_trips, not the trip count, which exporters set to
 * INT64_MAX for "while". Semantics: the ONNX schemas of Loop and If (opset 25).
 */
#include "host/pieces.h"

#include <string.h>

typedef struct loop {
    feri_host_call *call;
    feri_host_body body;
    feri_stack *stacks; /* scan_count */
    uint32_t state_count;
    uint32_t scan_count;
    uint64_t trips; /* at most */
    int64_t condition;
} loop;

static fer_status read_bounds(loop *l) {
    fer_value *most = feri_host_operand(l->call, 0);
    fer_value *condition = feri_host_operand(l->call, 1);
    int64_t trips = INT64_MAX;
    l->condition = 1;
    if (most) {
        FER_TRY(feri_host_number(l->call, most, "its trip count M", &trips));
    }
    if (condition) {
        FER_TRY(feri_host_number(l->call, condition, "its condition", &l->condition));
    }
    l->trips = trips < 0 ? 0 : (uint64_t)trips;
    return FER_OK;
}

static fer_status open_loop(loop *l) {
    FER_TRY(read_bounds(l));
    FER_TRY(feri_host_body_open(l->call, "body", &l->body));
    uint32_t formals = l->body.formal_count;
    if (formals < 2 || l->body.out_count < formals - 1) {
        return feri_host_fail(l->call, FER_INVALID_MODEL, "its body has too few inputs or outputs");
    }
    l->state_count = formals - 2;
    l->scan_count = l->body.out_count - (formals - 1);
    for (uint32_t s = 0; s < l->state_count; s++) {
        fer_value *initial = feri_host_operand(l->call, 2 + s);
        if (!initial) {
            return feri_host_fail(
                l->call, FER_INVALID_INPUT, "the initial value of carried value %u is left out", s);
        }
        feri_host_body_set(&l->body, 2 + s, fer_value_retain(initial));
    }
    l->stacks = feri_alloc(l->call->env, feri_mul_sat(l->scan_count, sizeof *l->stacks));
    return l->stacks ? FER_OK : fer_error_last()->status;
}

/* One trip: the condition for the next one, the carried values and the scan outputs. */
static fer_status run_trip(loop *l, uint64_t trip) {
    fer_value *number = NULL;
    FER_TRY(feri_host_scalar(l->call, FER_I64, (int64_t)trip, &number));
    feri_host_body_set(&l->body, 0, number);
    FER_TRY(feri_host_body_run(&l->body));
    FER_TRY(
        feri_host_number(l->call, l->body.out[0], "the condition its body gives", &l->condition));
    feri_host_body_set(&l->body, 1, feri_host_body_take(&l->body, 0));
    for (uint32_t s = 0; s < l->state_count; s++) {
        feri_host_body_set(&l->body, 2 + s, feri_host_body_take(&l->body, 1 + s));
    }
    for (uint32_t k = 0; k < l->scan_count; k++) {
        if (feri_host_wants(l->call, l->state_count + k)) {
            const fer_value *slice = l->body.out[1 + l->state_count + k];
            FER_TRY(feri_stack_push(l->call, &l->stacks[k], slice, /*expected=*/0));
        }
    }
    return FER_OK;
}

static fer_status run_trips(loop *l, uint64_t *out_done) {
    uint64_t limit = l->call->env->limits.max_loop_trips;
    uint64_t trip = 0;
    fer_value *start = NULL;
    FER_TRY(feri_host_scalar(l->call, FER_BOOL, 1, &start));
    feri_host_body_set(&l->body, 1, start);
    for (; trip < l->trips && l->condition; trip++) {
        if (trip >= limit) {
            return feri_host_fail(l->call,
                                  FER_LIMIT,
                                  "it did not end within max_loop_trips, %llu; raise the limit if "
                                  "the loop is meant to be this long",
                                  (unsigned long long)limit);
        }
        FER_TRY(run_trip(l, trip));
    }
    *out_done = trip;
    return FER_OK;
}

static fer_status give_results(loop *l, uint64_t trips) {
    for (uint32_t s = 0; s < l->state_count; s++) {
        feri_host_give(l->call, s, fer_value_retain(l->body.in[2 + s]));
    }
    for (uint32_t k = 0; k < l->scan_count; k++) {
        uint32_t index = l->state_count + k;
        if (!feri_host_wants(l->call, index)) {
            continue;
        }
        fer_tensor *stacked = NULL;
        if (trips) {
            FER_TRY(feri_stack_join(l->call, &l->stacks[k], 0, /*is_reversed=*/0, &stacked));
        } else {
            FER_TRY(feri_stack_none(l->call, &l->body, 1 + index, 0, &stacked));
        }
        FER_TRY(feri_host_give_tensor(l->call, index, stacked));
    }
    return FER_OK;
}

fer_status feri_host_loop(feri_host_call *call) {
    loop l;
    memset(&l, 0, sizeof l);
    l.call = call;
    uint64_t trips = 0;
    fer_status status = open_loop(&l);
    if (status == FER_OK) {
        status = run_trips(&l, &trips);
    }
    if (status == FER_OK) {
        status = give_results(&l, trips);
    }
    for (uint32_t k = 0; l.stacks && k < l.scan_count; k++) {
        feri_stack_drop(call->env, &l.stacks[k]);
    }
    feri_free(call->env, l.stacks, feri_mul_sat(l.scan_count, sizeof *l.stacks));
    feri_host_body_close(&l.body);
    return status;
}

fer_status feri_host_if(feri_host_call *call) {
    int64_t condition = 0;
    feri_host_body body;
    FER_TRY(feri_host_number(call, feri_host_operand(call, 0), "its condition", &condition));
    FER_TRY(feri_host_body_open(call, condition ? "then_branch" : "else_branch", &body));
    fer_status status = feri_host_body_run(&body);
    for (uint32_t o = 0; status == FER_OK && o < body.out_count; o++) {
        feri_host_give(call, o, feri_host_body_take(&body, o));
    }
    feri_host_body_close(&body);
    return status;
}
