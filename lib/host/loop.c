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
    feri_rounds rounds;
    uint64_t trips; /* at most */
    int64_t condition;
} loop;

static fer_status read_bounds(loop *l) {
    fer_value *most = feri_host_operand(l->rounds.call, 0);
    fer_value *condition = feri_host_operand(l->rounds.call, 1);
    int64_t trips = INT64_MAX;
    l->condition = 1;
    if (most) {
        FER_TRY(feri_host_number(l->rounds.call, most, "its trip count M", &trips));
    }
    if (condition) {
        FER_TRY(feri_host_number(l->rounds.call, condition, "its condition", &l->condition));
    }
    l->trips = trips < 0 ? 0 : (uint64_t)trips;
    return FER_OK;
}

static fer_status open_loop(loop *l) {
    feri_rounds *r = &l->rounds;
    fer_value *start = NULL;
    FER_TRY(read_bounds(l));
    FER_TRY(feri_host_body_open(r->call, "body", &r->body));
    if (r->body.formal_count < 2) {
        return feri_host_fail(r->call, FER_INVALID_MODEL, "its body has too few inputs");
    }
    r->operand = r->state_in = 2;
    r->state_out = 1;
    r->state_count = r->body.formal_count - 2;
    FER_TRY(feri_rounds_open(r));
    FER_TRY(feri_host_scalar(r->call, FER_BOOL, 1, &start));
    feri_host_body_set(&r->body, 1, start);
    return FER_OK;
}

/* One trip: the condition for the next one, the carried values and the scan outputs. */
static fer_status run_trip(loop *l) {
    feri_rounds *r = &l->rounds;
    uint64_t limit = r->call->env->limits.max_loop_trips;
    fer_value *number = NULL;
    if (r->trips >= limit) {
        return feri_host_fail(r->call,
                              FER_LIMIT,
                              "it did not end within max_loop_trips, %llu; raise the limit if "
                              "the loop is meant to be this long",
                              (unsigned long long)limit);
    }
    FER_TRY(feri_host_scalar(r->call, FER_I64, (int64_t)r->trips, &number));
    feri_host_body_set(&r->body, 0, number);
    FER_TRY(feri_host_body_run(&r->body));
    FER_TRY(
        feri_host_number(r->call, r->body.out[0], "the condition its body gives", &l->condition));
    feri_host_body_set(&r->body, 1, feri_host_body_take(&r->body, 0));
    return feri_rounds_next(r, /*expected=*/0);
}

fer_status feri_host_loop(feri_host_call *call) {
    loop l;
    memset(&l, 0, sizeof l);
    l.rounds.call = call;
    fer_status status = open_loop(&l);
    while (status == FER_OK && l.rounds.trips < l.trips && l.condition) {
        status = run_trip(&l);
    }
    return feri_rounds_end(&l.rounds, status);
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
