/* SPDX-License-Identifier: Apache-2.0
 *
 * Scan (9 and later): the body sees one slice of each scanned input a trip, along its axis and in
 * its direction; states go from trip to trip, the other outputs are stacked along their axes.
 * Slices share memory with the scanned input where they are one run of bytes. Semantics: the ONNX
 * schema of Scan (opset 25).
 */
#include "host/pieces.h"

#include <string.h>

typedef struct scan {
    feri_rounds rounds;
    uint32_t scanned_in;
    uint64_t length; /* trips */
} scan;

/* A scanned input and its axis. */
static fer_status
read_scanned(const scan *s, uint32_t index, fer_tensor **out_tensor, uint32_t *out_axis) {
    const feri_host_call *call = s->rounds.call;
    FER_TRY(feri_host_tensor(call, s->rounds.state_count + index, out_tensor));
    return feri_host_axis(
        call, feri_rounds_entry(call, "scan_input_axes", index), (*out_tensor)->rank, out_axis);
}

static fer_status find_length(scan *s) {
    for (uint32_t i = 0; i < s->scanned_in; i++) {
        fer_tensor *tensor = NULL;
        uint32_t axis = 0;
        FER_TRY(read_scanned(s, i, &tensor, &axis));
        uint64_t length = (uint64_t)tensor->dims[axis];
        if (i && length != s->length) {
            return feri_host_fail(s->rounds.call,
                                  FER_INVALID_INPUT,
                                  "scan input %u is %llu long, the ones before it %llu",
                                  i,
                                  (unsigned long long)length,
                                  (unsigned long long)s->length);
        }
        s->length = length;
    }
    uint64_t limit = s->rounds.call->env->limits.max_loop_trips;
    if (s->length > limit) {
        return feri_host_fail(s->rounds.call,
                              FER_LIMIT,
                              "it would make %llu trips; max_loop_trips is %llu",
                              (unsigned long long)s->length,
                              (unsigned long long)limit);
    }
    return FER_OK;
}

static fer_status open_scan(scan *s) {
    feri_rounds *r = &s->rounds;
    FER_TRY(feri_host_body_open(r->call, "body", &r->body));
    int64_t scanned = feri_host_attr(r->call, "num_scan_inputs", 0);
    if (scanned < 1 || scanned > (int64_t)r->body.formal_count) {
        return feri_host_fail(r->call,
                              FER_INVALID_MODEL,
                              "num_scan_inputs is %lld, but its body has %u inputs",
                              (long long)scanned,
                              r->body.formal_count);
    }
    s->scanned_in = (uint32_t)scanned;
    r->state_count = r->body.formal_count - s->scanned_in;
    FER_TRY(find_length(s));
    return feri_rounds_open(r);
}

static fer_status feed_slice(scan *s, uint32_t index) {
    feri_rounds *r = &s->rounds;
    fer_tensor *tensor = NULL;
    int is_reversed = feri_rounds_entry(r->call, "scan_input_directions", index) != 0;
    feri_take take = {.length = 1, .drops_axis = 1, .may_share = 1};
    fer_tensor *slice = NULL;
    fer_value *value = NULL;
    FER_TRY(read_scanned(s, index, &tensor, &take.axis));
    take.begin = (int64_t)(is_reversed ? s->length - 1 - r->trips : r->trips);
    FER_TRY(feri_take_piece(tensor, &take, &slice));
    fer_status status = fer_value_from_tensor(slice, &value);
    fer_tensor_release(slice);
    if (status == FER_OK) {
        feri_host_body_set(&r->body, r->state_count + index, value);
    }
    return status;
}

static fer_status run_trip(scan *s) {
    for (uint32_t i = 0; i < s->scanned_in; i++) {
        FER_TRY(feed_slice(s, i));
    }
    FER_TRY(feri_host_body_run(&s->rounds.body));
    return feri_rounds_next(&s->rounds, s->length);
}

fer_status feri_host_scan(feri_host_call *call) {
    scan s;
    memset(&s, 0, sizeof s);
    s.rounds.call = call;
    fer_status status = open_scan(&s);
    while (status == FER_OK && s.rounds.trips < s.length) {
        status = run_trip(&s);
    }
    return feri_rounds_end(&s.rounds, status);
}
