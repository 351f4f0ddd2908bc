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
    feri_host_call *call;
    feri_host_body body;
    feri_stack *stacks; /* scanned_out */
    uint32_t state_count;
    uint32_t scanned_in;
    uint32_t scanned_out;
    uint64_t length; /* trips */
} scan;

static int64_t list_entry(const scan *s, const char *name, uint32_t index) {
    const feri_gnode *node = s->call->node;
    const fer_attr *attr = feri_attr_find(node->attrs, node->attr_count, name);
    int has = attr && attr->type == FER_ATTR_INTS && index < attr->count;
    return has ? attr->value.ints[index] : 0;
}

static fer_status input_axis(const scan *s, uint32_t index, uint32_t *out_axis) {
    fer_tensor *tensor = NULL;
    FER_TRY(feri_host_tensor(s->call, s->state_count + index, &tensor));
    return feri_host_axis(s->call, list_entry(s, "scan_input_axes", index), tensor->rank, out_axis);
}

static fer_status find_length(scan *s) {
    for (uint32_t i = 0; i < s->scanned_in; i++) {
        fer_tensor *tensor = NULL;
        uint32_t axis = 0;
        FER_TRY(feri_host_tensor(s->call, s->state_count + i, &tensor));
        FER_TRY(input_axis(s, i, &axis));
        uint64_t length = (uint64_t)tensor->dims[axis];
        if (i && length != s->length) {
            return feri_host_fail(s->call,
                                  FER_INVALID_INPUT,
                                  "scan input %u is %llu long, the ones before it %llu",
                                  i,
                                  (unsigned long long)length,
                                  (unsigned long long)s->length);
        }
        s->length = length;
    }
    uint64_t limit = s->call->env->limits.max_loop_trips;
    if (s->length > limit) {
        return feri_host_fail(s->call,
                              FER_LIMIT,
                              "it would make %llu trips; max_loop_trips is %llu",
                              (unsigned long long)s->length,
                              (unsigned long long)limit);
    }
    return FER_OK;
}

static fer_status open_scan(scan *s) {
    FER_TRY(feri_host_body_open(s->call, "body", &s->body));
    int64_t scanned = feri_host_attr(s->call, "num_scan_inputs", 0);
    if (scanned < 1 || scanned > (int64_t)s->body.formal_count) {
        return feri_host_fail(s->call,
                              FER_INVALID_MODEL,
                              "num_scan_inputs is %lld, but its body has %u inputs",
                              (long long)scanned,
                              s->body.formal_count);
    }
    s->scanned_in = (uint32_t)scanned;
    s->state_count = s->body.formal_count - s->scanned_in;
    if (s->body.out_count < s->state_count) {
        return feri_host_fail(s->call, FER_INVALID_MODEL, "its body has too few outputs");
    }
    s->scanned_out = s->body.out_count - s->state_count;
    FER_TRY(find_length(s));
    for (uint32_t i = 0; i < s->state_count; i++) {
        fer_tensor *initial = NULL;
        FER_TRY(feri_host_tensor(s->call, i, &initial));
        feri_host_body_set(&s->body, i, fer_value_retain(s->call->inputs[i]));
    }
    s->stacks = feri_alloc(s->call->env, feri_mul_sat(s->scanned_out, sizeof *s->stacks));
    return s->stacks ? FER_OK : fer_error_last()->status;
}

static fer_status feed_slice(scan *s, uint32_t index, uint64_t trip) {
    fer_tensor *tensor = s->call->inputs[s->state_count + index]->tensor;
    int is_reversed = list_entry(s, "scan_input_directions", index) != 0;
    feri_take take = {.length = 1, .drops_axis = 1, .may_share = 1};
    fer_tensor *slice = NULL;
    fer_value *value = NULL;
    FER_TRY(input_axis(s, index, &take.axis));
    take.begin = (int64_t)(is_reversed ? s->length - 1 - trip : trip);
    FER_TRY(feri_take_piece(tensor, &take, &slice));
    fer_status status = fer_value_from_tensor(slice, &value);
    fer_tensor_release(slice);
    if (status == FER_OK) {
        feri_host_body_set(&s->body, s->state_count + index, value);
    }
    return status;
}

static fer_status run_trip(scan *s, uint64_t trip) {
    for (uint32_t i = 0; i < s->scanned_in; i++) {
        FER_TRY(feed_slice(s, i, trip));
    }
    FER_TRY(feri_host_body_run(&s->body));
    for (uint32_t i = 0; i < s->state_count; i++) {
        feri_host_body_set(&s->body, i, feri_host_body_take(&s->body, i));
    }
    for (uint32_t k = 0; k < s->scanned_out; k++) {
        if (feri_host_wants(s->call, s->state_count + k)) {
            const fer_value *slice = s->body.out[s->state_count + k];
            FER_TRY(feri_stack_push(s->call, &s->stacks[k], slice, s->length));
        }
    }
    return FER_OK;
}

static fer_status give_results(scan *s) {
    for (uint32_t i = 0; i < s->state_count; i++) {
        feri_host_give(s->call, i, fer_value_retain(s->body.in[i]));
    }
    for (uint32_t k = 0; k < s->scanned_out; k++) {
        uint32_t index = s->state_count + k;
        if (!feri_host_wants(s->call, index)) {
            continue;
        }
        int64_t axis = list_entry(s, "scan_output_axes", k);
        int is_reversed = list_entry(s, "scan_output_directions", k) != 0;
        fer_tensor *stacked = NULL;
        if (s->length) {
            FER_TRY(feri_stack_join(s->call, &s->stacks[k], axis, is_reversed, &stacked));
        } else {
            FER_TRY(feri_stack_none(s->call, &s->body, index, axis, &stacked));
        }
        FER_TRY(feri_host_give_tensor(s->call, index, stacked));
    }
    return FER_OK;
}

fer_status feri_host_scan(feri_host_call *call) {
    scan s;
    memset(&s, 0, sizeof s);
    s.call = call;
    fer_status status = open_scan(&s);
    for (uint64_t trip = 0; trip < s.length && status == FER_OK; trip++) {
        status = run_trip(&s, trip);
    }
    if (status == FER_OK) {
        status = give_results(&s);
    }
    for (uint32_t k = 0; s.stacks && k < s.scanned_out; k++) {
        feri_stack_drop(call->env, &s.stacks[k]);
    }
    feri_free(call->env, s.stacks, feri_mul_sat(s.scanned_out, sizeof *s.stacks));
    feri_host_body_close(&s.body);
    return status;
}
