/* SPDX-License-Identifier: Apache-2.0
 *
 * SequenceMap: the body runs once per item; further operands that are sequences go along item by
 * item, tensors are the same for all. Each output of the body becomes a sequence. Semantics: the
 * ONNX schema of SequenceMap.
 */
#include "host/host_call.h"

typedef struct mapping {
    feri_host_call *call;
    feri_host_body body;
    uint64_t length;
    fer_value **items; /* [out_count][length] */
} mapping;

static uint64_t items_bytes(const mapping *m) {
    return feri_mul_sat(feri_mul_sat(m->body.out_count, m->length), sizeof *m->items);
}

static fer_status open_mapping(mapping *m) {
    fer_value *first = NULL;
    FER_TRY(feri_host_sequence(m->call, 0, &first));
    FER_TRY(feri_host_body_open(m->call, "body", &m->body));
    m->length = first->count;
    for (uint32_t i = 0; i < m->body.formal_count; i++) {
        fer_value *operand = feri_host_operand(m->call, i);
        if (!operand) {
            return feri_host_fail(m->call, FER_INVALID_INPUT, "input %u is left out", i);
        }
        if (operand->kind == FER_KIND_SEQUENCE && operand->count != m->length) {
            return feri_host_fail(m->call,
                                  FER_INVALID_INPUT,
                                  "input %u has %llu items, the first sequence %llu",
                                  i,
                                  (unsigned long long)operand->count,
                                  (unsigned long long)m->length);
        }
    }
    m->items = feri_alloc(m->call->env, items_bytes(m));
    return m->items ? FER_OK : feri_error_status();
}

static fer_status map_item(mapping *m, uint64_t index) {
    for (uint32_t i = 0; i < m->body.formal_count; i++) {
        fer_value *operand = feri_host_operand(m->call, i);
        int is_sequence = operand->kind == FER_KIND_SEQUENCE;
        feri_host_body_set(
            &m->body, i, fer_value_retain(is_sequence ? operand->items[index] : operand));
    }
    FER_TRY(feri_host_body_run(&m->body));
    for (uint32_t o = 0; o < m->body.out_count; o++) {
        m->items[o * m->length + index] = feri_host_body_take(&m->body, o);
    }
    return FER_OK;
}

static fer_status give_sequences(mapping *m) {
    for (uint32_t o = 0; o < m->body.out_count; o++) {
        fer_value *sequence = NULL;
        FER_TRY(fer_value_sequence(
            feri_host_context(m->call), m->items + o * m->length, m->length, &sequence));
        feri_host_give(m->call, o, sequence);
    }
    return FER_OK;
}

fer_status feri_host_sequence_map(feri_host_call *call) {
    mapping m = {.call = call};
    fer_status status = open_mapping(&m);
    for (uint64_t i = 0; i < m.length && status == FER_OK; i++) {
        status = map_item(&m, i);
    }
    if (status == FER_OK) {
        status = give_sequences(&m);
    }
    for (uint64_t i = 0; m.items && i < m.body.out_count * m.length; i++) {
        fer_value_release(m.items[i]);
    }
    feri_free(call->env, m.items, items_bytes(&m));
    feri_host_body_close(&m.body);
    return status;
}
