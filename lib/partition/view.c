/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds the views of view.h: one walk over the nodes, numbering values as they are met.
 */
#include "partition/view.h"

#include "base/error.h"

#include <string.h>

typedef struct built_value {
    fer_value_view view;
    uint32_t inside; /* uses by the view's nodes */
    uint8_t is_made; /* by one of them */
} built_value;

typedef struct builder {
    const fer_graph *graph;
    feri_bump *bump;
    feri_view *view;
    uint32_t *index_of; /* per graph value: index in the view + 1 */
    built_value *values;
    uint32_t dim_capacity;
    fer_status status; /* the first failure; what is built after it is never seen */
    feri_name_map slots;
} builder;

static void *array(builder *b, uint64_t count, uint64_t element_bytes) {
    void *memory = feri_bump_array(b->bump, count, element_bytes);
    if (memory == NULL) {
        b->status = feri_error_status();
    }
    return memory;
}

/* A slot for a dim that is no number. */
static uint32_t slot_new(builder *b, feri_view_dim dim) {
    feri_view *view = b->view;
    uint32_t slot = view->graph.dim_slot_count;
    fer_status status =
        feri_bump_grow(b->bump, &view->dims, &b->dim_capacity, slot + 1, sizeof(dim));
    if (status == FER_OK) {
        view->dims[slot] = dim;
        view->graph.dim_slot_count++;
        /* The map borrows its key, which stays where it is when the array grows elsewhere. */
        if (!feri_sym_is_unknown(dim.term)) {
            status = feri_name_map_set(
                &b->slots, (const char *)&view->dims[slot].term.term, sizeof(dim.term.term), slot);
        }
    }
    b->status = status == FER_OK ? b->status : status;
    return slot;
}

static void dim_fill(builder *b, fer_value_id id, uint32_t axis, fer_dim *dim) {
    feri_sym sym = b->graph->values[id].fact.dims[axis];
    *dim = (fer_dim){.value = sym.number, .min = sym.number, .max = sym.number, .multiple = 1};
    if (feri_sym_is_number(sym)) {
        return;
    }
    dim->value = -1;
    if (feri_sym_is_unknown(sym) ||
        !feri_name_map_get(&b->slots, (const char *)&sym.term, sizeof(sym.term), &dim->slot)) {
        dim->slot = slot_new(b, (feri_view_dim){sym, id, axis});
    }
    if (feri_sym_is_unknown(sym)) {
        dim->max = INT64_MAX;
    } else {
        feri_sym_bounds(b->graph->terms, sym, &dim->min, &dim->max);
    }
}

static void value_fill(builder *b, fer_value_id id, fer_value_view *out) {
    const feri_gvalue *value = &b->graph->values[id];
    const feri_fact *fact = &value->fact;
    out->struct_size = sizeof(*out);
    out->dtype = fact->dtype;
    out->rank = fact->rank < 0 ? 0 : (uint32_t)fact->rank;
    out->name = value->name;
    fer_dim *dims = array(b, out->rank, sizeof(*dims));
    for (uint32_t i = 0; b->status == FER_OK && i < out->rank; i++) {
        dim_fill(b, id, i, &dims[i]);
    }
    out->dims = dims;
    if (value->origin == FERI_ORIGIN_CONSTANT) {
        out->flags = FER_VALUE_CONSTANT;
        out->data = fer_tensor_data(value->constant);
        out->bytes = fer_tensor_bytes(value->constant);
    } else if (value->origin == FERI_ORIGIN_SHAPE) {
        out->flags = FER_VALUE_HOST;
    }
}

static uint32_t value_index(builder *b, fer_value_id id) {
    if (b->index_of[id] == 0) {
        uint32_t index = b->view->graph.value_count++;
        b->index_of[id] = index + 1;
        b->view->value_ids[index] = id;
        value_fill(b, id, &b->values[index].view);
    }
    return b->index_of[id] - 1;
}

/* A node's operands or results, and what the node is to them. */
static const uint32_t *
indices_fill(builder *b, const feri_gnode *node, const fer_value_id *ids, uint32_t count) {
    int makes = ids == node->outputs;
    int is_late = makes && (node->op->flags & FERI_OP_DATA_DEPENDENT) != 0;
    uint32_t *indices = array(b, count, sizeof(*indices));
    for (uint32_t i = 0; b->status == FER_OK && i < count; i++) {
        indices[i] = ids[i];
        if (ids[i] != FER_NO_VALUE) {
            indices[i] = value_index(b, ids[i]);
            built_value *value = &b->values[indices[i]];
            value->inside += !makes;
            value->is_made |= makes;
            value->view.flags |= is_late ? (uint32_t)FER_VALUE_DATA_DEPENDENT : 0;
        }
    }
    return indices;
}

static double node_work(builder *b, const feri_gnode *node) {
    feri_fact unwanted = {0};
    feri_fact **facts =
        array(b, (uint64_t)node->input_count + node->output_count, sizeof(feri_fact *));
    if (facts == NULL) {
        return 0;
    }
    feri_infer call = feri_node_call(b->graph, node, facts, b->bump);
    for (uint32_t i = 0; i < node->output_count; i++) {
        facts[node->input_count + i] = call.out[i] == NULL ? &unwanted : call.out[i];
    }
    return feri_op_work(&call);
}

static void node_fill(builder *b, const feri_gnode *node, fer_node_view *out) {
    out->struct_size = sizeof(*out);
    out->op = node->op->number;
    out->revision = node->revision;
    out->input_count = node->input_count;
    out->output_count = node->output_count;
    out->attr_count = node->attr_count;
    out->attrs = node->attrs;
    out->name = node->name;
    out->op_name = feri_op_name(node->op);
    out->inputs = indices_fill(b, node, node->inputs, node->input_count);
    out->outputs = indices_fill(b, node, node->outputs, node->output_count);
    out->work = node_work(b, node);
}

static void ends_fill(builder *b) {
    fer_subgraph *graph = &b->view->graph;
    uint32_t count = graph->value_count;
    uint32_t *inputs = array(b, feri_mul_sat(count, 3), sizeof(*inputs));
    const fer_value_view **values = array(b, count, sizeof(*values));
    if (b->status != FER_OK) {
        return;
    }
    uint32_t *outputs = inputs + count, *constants = outputs + count;
    for (uint32_t i = 0; i < count; i++) {
        const feri_gvalue *value = &b->graph->values[b->view->value_ids[i]];
        built_value *built = &b->values[i];
        values[i] = &built->view;
        if (built->is_made) {
            if (built->inside < value->use_count) {
                built->view.flags |= FER_VALUE_OUTPUT;
                outputs[graph->output_count++] = i;
            }
        } else if (value->origin == FERI_ORIGIN_CONSTANT) {
            constants[graph->constant_count++] = i;
        } else {
            built->view.flags |= FER_VALUE_INPUT;
            inputs[graph->input_count++] = i;
        }
    }
    graph->inputs = inputs;
    graph->outputs = outputs;
    graph->constants = constants;
    graph->values = values;
}

static void view_fill(builder *b, const uint32_t *node_indices, uint32_t node_count) {
    feri_view *view = b->view;
    uint32_t capacity = 0;
    for (uint32_t i = 0; i < node_count; i++) {
        const feri_gnode *node = b->graph->nodes[node_indices[i]];
        capacity += node->input_count + node->output_count;
    }
    if (capacity > b->graph->value_count) {
        capacity = b->graph->value_count;
    }
    fer_node_view *nodes = array(b, node_count, sizeof(*nodes));
    const fer_node_view **pointers = array(b, node_count, sizeof(*pointers));
    view->value_ids = array(b, capacity, sizeof(*view->value_ids));
    b->values = array(b, capacity, sizeof(*b->values));
    for (uint32_t i = 0; b->status == FER_OK && i < node_count; i++) {
        pointers[i] = &nodes[i];
        node_fill(b, b->graph->nodes[node_indices[i]], &nodes[i]);
    }
    view->graph.nodes = pointers;
    view->graph.node_count = node_count;
}

fer_status feri_view_build(const fer_graph *graph,
                           uint32_t *scratch,
                           const uint32_t *node_indices,
                           uint32_t node_count,
                           feri_bump *bump,
                           feri_view *out_view) {
    memset(out_view, 0, sizeof(*out_view));
    out_view->graph.struct_size = sizeof(out_view->graph);
    builder b = {.graph = graph, .bump = bump, .view = out_view, .index_of = scratch};
    feri_name_map_init(&b.slots, graph->env);
    view_fill(&b, node_indices, node_count);
    ends_fill(&b);
    feri_name_map_finish(&b.slots);
    for (uint32_t i = 0; i < out_view->graph.value_count; i++) {
        scratch[out_view->value_ids[i]] = 0;
    }
    return b.status;
}
