/* SPDX-License-Identifier: Apache-2.0
 *
 * Common subexpressions: pure nodes with the same op, operands and attributes are computed once,
 * and small equal constants become one first. What makes two of them equal is written down as a
 * key, and one map knows who had a key first. Attributes are compared deeply and by bits, so that
 * NaN equals itself and -0 is not 0; large tensors by identity only.
 */
#include "base/error.h"
#include "ferrule/op_numbers.h"
#include "passes/edit.h"
#include "passes/pass.h"

#include <string.h>

enum { SMALL_BYTES = 1024 };

typedef struct merger {
    feri_text key; /* that is being written: FER_OP_NONE for constants, the op's number for nodes */
    feri_swap swap;
    feri_name_map first; /* of a key: the value or node that had it */
    feri_bump keys;
} merger;

static void add(merger *m, const void *bytes, uint64_t count) {
    feri_text_add_bytes(&m->key, bytes, count);
}

static void add_number(merger *m, uint32_t number) { add(m, &number, sizeof number); }

/* Who had the key first: index where nobody did. */
static fer_status find_first(merger *m, uint32_t index, uint32_t *out_first) {
    const feri_text *key = &m->key;
    FER_TRY(key->status);
    *out_first = index;
    if (feri_name_map_get(&m->first, key->data, key->length, out_first)) {
        return FER_OK;
    }
    const char *kept = feri_bump_strndup(&m->keys, key->data, key->length);
    return kept ? feri_name_map_set(&m->first, kept, key->length, index) : feri_error_status();
}

/* ---- constants ---- */

static int is_small(const fer_tensor *tensor) {
    return tensor->bytes <= SMALL_BYTES && fer_tensor_data(tensor);
}

static void add_tensor(merger *m, const fer_tensor *tensor) {
    int small = is_small(tensor);
    const fer_tensor *identity = small ? NULL : tensor;
    add_number(m, (uint32_t)tensor->dtype);
    add_number(m, tensor->rank);
    add(m, &identity, sizeof identity);
    if (small) {
        add(m, tensor->dims, tensor->rank * sizeof *tensor->dims);
        add(m, fer_tensor_data(tensor), tensor->bytes);
    }
}

static fer_status merge_constants(merger *m) {
    for (uint32_t v = 0; v < m->swap.value_count; v++) {
        const feri_gvalue *value = &m->swap.graph->values[v];
        if (value->origin != FERI_ORIGIN_CONSTANT || !value->use_count || !value->constant ||
            !is_small(value->constant) || m->swap.pinned[v]) {
            continue;
        }
        uint32_t first;
        m->key.length = 0;
        add_number(m, FER_OP_NONE);
        add_tensor(m, value->constant);
        FER_TRY(find_first(m, v, &first));
        if (first != v) {
            feri_swap_put(&m->swap, v, first);
        }
    }
    return FER_OK;
}

/* ---- nodes ---- */

static void add_attr(merger *m, const fer_attr *attr) {
    uint64_t bytes;
    const void *part;
    add(m, attr->name, strlen(attr->name) + 1);
    add_number(m, (uint32_t)attr->type);
    add_number(m, attr->count);
    for (uint32_t i = 0; (part = feri_attr_part(attr, i, &bytes)) != NULL; i++) {
        add(m, &bytes, sizeof bytes);
        add(m, part, bytes);
    }
    if (attr->type == FER_ATTR_TENSOR) {
        add_tensor(m, attr->value.tensor);
    }
}

static void add_node(merger *m, const feri_gnode *node) {
    const uint32_t head[] = {node->op->number,
                             node->revision,
                             node->host_only,
                             node->input_count,
                             node->output_count,
                             node->attr_count};
    m->key.length = 0;
    add(m, head, sizeof head);
    for (uint32_t i = 0; i < node->input_count; i++) {
        fer_value_id id = node->inputs[i];
        add_number(m, id == FER_NO_VALUE ? id : m->swap.to[id]);
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        add_number(m, node->outputs[o] == FER_NO_VALUE);
    }
    for (uint32_t a = 0; a < node->attr_count; a++) {
        add_attr(m, &node->attrs[a]);
    }
}

/* Every output of twin is taken from kept, or none. */
static void take_outputs(merger *m, const feri_gnode *kept, feri_gnode *twin) {
    for (uint32_t o = 0; o < twin->output_count; o++) {
        if (twin->outputs[o] != FER_NO_VALUE &&
            !feri_swap_may(&m->swap, twin->outputs[o], kept->outputs[o])) {
            return;
        }
    }
    for (uint32_t o = 0; o < twin->output_count; o++) {
        if (twin->outputs[o] != FER_NO_VALUE) {
            feri_swap_put(&m->swap, twin->outputs[o], kept->outputs[o]);
        }
    }
    twin->is_dead = 1;
}

static fer_status merge_nodes(merger *m) {
    const fer_graph *graph = m->swap.graph;
    const uint32_t never = FERI_OP_CONTROL | FERI_OP_RANDOM;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        feri_gnode *node = graph->nodes[n];
        if (node->is_dead || node->body_count || (node->op->flags & never) ||
            node->op->number == FER_OP_Dropout) { /* random when it trains */
            continue;
        }
        uint32_t first;
        add_node(m, node);
        FER_TRY(find_first(m, n, &first));
        if (first != n) {
            take_outputs(m, graph->nodes[first], node);
        }
    }
    return FER_OK;
}

fer_status feri_pass_merge_common(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    (void)env;
    merger m;
    FER_TRY(feri_swap_begin(&m.swap, graph));
    feri_text_init(&m.key, graph->env);
    feri_name_map_init(&m.first, graph->env);
    feri_bump_init(&m.keys, graph->env);
    fer_status status = merge_constants(&m);
    if (status == FER_OK) {
        status = merge_nodes(&m);
    }
    *out_changes = m.swap.changes;
    feri_swap_finish(&m.swap);
    feri_text_finish(&m.key);
    feri_name_map_finish(&m.first);
    feri_bump_finish(&m.keys);
    return status;
}
