/* SPDX-License-Identifier: Apache-2.0
 *
 * Common subexpressions: pure nodes with the same op, operands and attributes are computed once,
 * and small equal constants become one first. One hash table over the graph, filled in order, so
 * that the earlier node stays. Attributes are compared deeply, large tensors by identity only.
 */
#include "base/error.h"
#include "ferrule/op_numbers.h"
#include "passes/edit.h"
#include "passes/pass.h"

#include <string.h>

enum { SMALL_BYTES = 1024 };

/* Open addressing; entries are what the two comparisons below understand. */
typedef struct table {
    struct slot {
        uint64_t hash;
        uint64_t entry; /* index + 1, 0 free */
    } * slots;
    uint64_t size; /* a power of two, at least twice the entries */
    feri_env *env;
} table;

static void table_finish(table *t) { feri_free(t->env, t->slots, t->size * sizeof *t->slots); }

static fer_status table_init(table *t, feri_env *env, uint32_t entries) {
    *t = (table){.env = env, .size = 16};
    while (t->size < (uint64_t)entries * 2) {
        t->size *= 2;
    }
    t->slots = feri_alloc(env, t->size * sizeof *t->slots);
    return t->slots ? FER_OK : feri_error_status();
}

typedef int (*same_fn)(const feri_swap *swap, uint32_t a, uint32_t b);

/* The entry equal to index, which is added when there is none. */
static uint32_t
table_find(table *t, const feri_swap *swap, uint64_t hash, uint32_t index, same_fn same) {
    for (uint64_t at = hash;; at++) {
        struct slot *slot = &t->slots[at & (t->size - 1)];
        if (!slot->entry) {
            *slot = (struct slot){hash, index + 1};
        }
        uint32_t found = (uint32_t)slot->entry - 1;
        if (found == index || (slot->hash == hash && same(swap, found, index))) {
            return found;
        }
    }
}

/* ---- tensors ---- */

static int is_small(const fer_tensor *tensor) {
    return tensor->bytes <= SMALL_BYTES && fer_tensor_data(tensor);
}

static uint64_t hash_tensor(const fer_tensor *tensor, uint64_t seed) {
    if (!is_small(tensor)) {
        return feri_hash(&tensor, sizeof tensor, seed);
    }
    seed = feri_hash(tensor->dims, tensor->rank * sizeof(int64_t), seed);
    return feri_hash(fer_tensor_data(tensor), tensor->bytes, seed ^ (uint64_t)tensor->dtype);
}

static int same_tensor(const fer_tensor *a, const fer_tensor *b) {
    uint32_t rank = a->rank;
    if (a == b) {
        return 1;
    }
    return is_small(a) && is_small(b) && a->dtype == b->dtype && rank == b->rank &&
           memcmp(a->dims, b->dims, rank * sizeof(int64_t)) == 0 &&
           memcmp(fer_tensor_data(a), fer_tensor_data(b), a->bytes) == 0;
}

static int same_constant(const feri_swap *swap, uint32_t a, uint32_t b) {
    const feri_gvalue *values = swap->graph->values;
    return same_tensor(values[a].constant, values[b].constant);
}

static fer_status merge_constants(feri_swap *swap) {
    const fer_graph *graph = swap->graph;
    table t;
    FER_TRY(table_init(&t, graph->env, swap->value_count));
    for (uint32_t v = 0; v < swap->value_count; v++) {
        const feri_gvalue *value = &graph->values[v];
        if (value->origin != FERI_ORIGIN_CONSTANT || !value->use_count || !value->constant ||
            !is_small(value->constant) || swap->pinned[v]) {
            continue;
        }
        uint32_t kept = table_find(&t, swap, hash_tensor(value->constant, 1), v, same_constant);
        if (kept != v) {
            feri_swap_put(swap, v, kept);
        }
    }
    table_finish(&t);
    return FER_OK;
}

/* ---- nodes ---- */

static int same_bytes(const void *a, const void *b, uint64_t bytes) {
    return !bytes || memcmp(a, b, bytes) == 0;
}

static uint64_t hash_attr(const fer_attr *attr, uint64_t seed) {
    uint64_t bytes = 0;
    const void *part;
    seed = feri_hash(attr->name, strlen(attr->name), seed + (uint64_t)attr->type);
    for (uint32_t i = 0; (part = feri_attr_part(attr, i, &bytes)) != NULL; i++) {
        seed = feri_hash(part, bytes, seed);
    }
    return attr->type == FER_ATTR_TENSOR ? hash_tensor(attr->value.tensor, seed) : seed;
}

static int same_attr(const fer_attr *a, const fer_attr *b) {
    uint64_t bytes = 0, other_bytes = 0;
    const void *part;
    if (a->type != b->type || a->count != b->count || strcmp(a->name, b->name) != 0) {
        return 0;
    }
    for (uint32_t i = 0; (part = feri_attr_part(a, i, &bytes)) != NULL; i++) {
        const void *other = feri_attr_part(b, i, &other_bytes);
        if (bytes != other_bytes || !same_bytes(part, other, bytes)) {
            return 0;
        }
    }
    return a->type == FER_ATTR_TENSOR ? same_tensor(a->value.tensor, b->value.tensor)
                                      : a->type != FER_ATTR_GRAPH;
}

static fer_value_id resolved(const feri_swap *swap, fer_value_id id) {
    return id == FER_NO_VALUE ? id : swap->to[id];
}

static uint64_t hash_node(const feri_swap *swap, const feri_gnode *node) {
    uint64_t hash = feri_hash(&node->op->number, sizeof node->op->number, node->input_count);
    for (uint32_t i = 0; i < node->input_count; i++) {
        fer_value_id id = resolved(swap, node->inputs[i]);
        hash = feri_hash(&id, sizeof id, hash);
    }
    for (uint32_t a = 0; a < node->attr_count; a++) {
        hash = hash_attr(&node->attrs[a], hash);
    }
    return hash;
}

static int same_node(const feri_swap *swap, uint32_t first, uint32_t second) {
    const feri_gnode *a = swap->graph->nodes[first];
    const feri_gnode *b = swap->graph->nodes[second];
    if (a->op != b->op || a->revision != b->revision || a->input_count != b->input_count ||
        a->output_count != b->output_count || a->attr_count != b->attr_count ||
        a->host_only != b->host_only) {
        return 0;
    }
    for (uint32_t i = 0; i < a->input_count; i++) {
        if (resolved(swap, a->inputs[i]) != resolved(swap, b->inputs[i])) {
            return 0;
        }
    }
    for (uint32_t o = 0; o < a->output_count; o++) {
        if ((a->outputs[o] == FER_NO_VALUE) != (b->outputs[o] == FER_NO_VALUE)) {
            return 0;
        }
    }
    for (uint32_t i = 0; i < a->attr_count; i++) {
        if (!same_attr(&a->attrs[i], &b->attrs[i])) {
            return 0;
        }
    }
    return 1;
}

/* 1 when every output of double may be taken from kept. */
static int may_merge(const feri_swap *swap, const feri_gnode *kept, const feri_gnode *twin) {
    for (uint32_t o = 0; o < twin->output_count; o++) {
        if (twin->outputs[o] != FER_NO_VALUE &&
            !feri_swap_may(swap, twin->outputs[o], kept->outputs[o])) {
            return 0;
        }
    }
    return 1;
}

static fer_status merge_nodes(feri_swap *swap) {
    const fer_graph *graph = swap->graph;
    const uint32_t never = FERI_OP_CONTROL | FERI_OP_RANDOM;
    table t;
    FER_TRY(table_init(&t, graph->env, graph->node_count));
    for (uint32_t n = 0; n < graph->node_count; n++) {
        feri_gnode *node = graph->nodes[n];
        if (node->is_dead || node->body_count || (node->op->flags & never) ||
            node->op->number == FER_OP_Dropout) { /* random when it trains */
            continue;
        }
        uint32_t found = table_find(&t, swap, hash_node(swap, node), n, same_node);
        if (found == n || !may_merge(swap, graph->nodes[found], node)) {
            continue;
        }
        for (uint32_t o = 0; o < node->output_count; o++) {
            if (node->outputs[o] != FER_NO_VALUE) {
                feri_swap_put(swap, node->outputs[o], graph->nodes[found]->outputs[o]);
            }
        }
        node->is_dead = 1;
    }
    table_finish(&t);
    return FER_OK;
}

fer_status feri_pass_merge_common(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    (void)env;
    feri_swap swap;
    FER_TRY(feri_swap_begin(&swap, graph));
    fer_status status = merge_constants(&swap);
    if (status == FER_OK) {
        status = merge_nodes(&swap);
    }
    *out_changes = swap.changes;
    feri_swap_finish(&swap);
    return status;
}
