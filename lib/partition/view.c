/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds the views of view.h: one walk over the nodes, numbering values as they are met.
 */
#include "partition/view.h"

#include "base/error.h"

#include <string.h>

typedef struct builder {
    const fer_graph *graph;
    feri_bump *bump;
    feri_view *view;
    uint32_t *index_of; /* per graph value: index in the view + 1 */
    uint32_t *inside;   /* per view value: uses by the view's nodes */
    fer_value_view *views;
    uint8_t *is_made;  /* per view value: produced by the view's nodes */
    uint32_t capacity; /* of values */
    uint32_t slot_capacity;
    feri_name_map slots;
} builder;

static fer_status
slot_new(builder *b, feri_sym sym, fer_value_id id, uint32_t axis, uint32_t *out_slot) {
    feri_view *view = b->view;
    uint32_t slot = view->graph.dim_slot_count, capacity = b->slot_capacity;
    if (slot + 1 > capacity) {
        uint32_t same = capacity, again = capacity;
        FER_TRY(feri_bump_grow(b->bump, &view->dim_terms, &capacity, slot + 1, sizeof(feri_sym)));
        FER_TRY(feri_bump_grow(b->bump, &view->dim_values, &same, slot + 1, sizeof(fer_value_id)));
        FER_TRY(feri_bump_grow(b->bump, &view->dim_axes, &again, slot + 1, sizeof(uint32_t)));
        b->slot_capacity =
            capacity < same ? (capacity < again ? capacity : again) : (same < again ? same : again);
    }
    view->dim_terms[slot] = sym;
    view->dim_values[slot] = id;
    view->dim_axes[slot] = axis;
    view->graph.dim_slot_count++;
    *out_slot = slot;
    return FER_OK;
}

static fer_status dim_fill(builder *b, fer_value_id id, uint32_t axis, fer_dim *dim) {
    feri_sym sym = b->graph->values[id].fact.dims[axis];
    if (feri_sym_is_number(sym)) {
        *dim = (fer_dim){.value = sym.number, .min = sym.number, .max = sym.number, .multiple = 1};
        return FER_OK;
    }
    uint32_t slot = 0;
    if (feri_sym_is_unknown(sym)) {
        FER_TRY(slot_new(b, sym, id, axis, &slot));
        *dim = (fer_dim){.value = -1, .slot = slot, .max = INT64_MAX, .multiple = 1};
        return FER_OK;
    }
    if (!feri_name_map_get(&b->slots, (const char *)&sym.term, sizeof(sym.term), &slot)) {
        FER_TRY(slot_new(b, sym, id, axis, &slot));
        /* The map borrows its keys: they live in the bump like all else. */
        uint64_t *key = feri_bump_alloc(b->bump, sizeof(*key));
        if (key == NULL) {
            return fer_error_last()->status;
        }
        *key = sym.term;
        FER_TRY(feri_name_map_set(&b->slots, (const char *)key, sizeof(*key), slot));
    }
    b->view->has_dynamic_dims = 1;
    *dim = (fer_dim){.value = -1, .slot = slot, .multiple = 1};
    feri_sym_bounds(b->graph->terms, sym, &dim->min, &dim->max);
    return FER_OK;
}

static fer_status value_fill(builder *b, fer_value_id id, fer_value_view *out) {
    const feri_gvalue *value = &b->graph->values[id];
    const feri_fact *fact = &value->fact;
    out->struct_size = sizeof(*out);
    out->dtype = fact->dtype;
    out->rank = fact->rank < 0 ? 0 : (uint32_t)fact->rank;
    out->name = value->name;
    fer_dim *dims = FERI_BUMP_ARRAY(b->bump, fer_dim, out->rank);
    if (dims == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < out->rank; i++) {
        FER_TRY(dim_fill(b, id, i, &dims[i]));
    }
    out->dims = dims;
    if (value->origin == FERI_ORIGIN_CONSTANT) {
        out->flags = FER_VALUE_CONSTANT;
        out->data = fer_tensor_data(value->constant);
        out->bytes = fer_tensor_bytes(value->constant);
    } else if (value->origin == FERI_ORIGIN_SHAPE) {
        out->flags = FER_VALUE_HOST;
    }
    return FER_OK;
}

static fer_status value_index(builder *b, fer_value_id id, uint32_t *out_index) {
    if (id == FER_NO_VALUE) {
        *out_index = FER_NO_VALUE;
        return FER_OK;
    }
    if (b->index_of[id] == 0) {
        uint32_t index = b->view->graph.value_count++;
        b->index_of[id] = index + 1;
        b->view->value_ids[index] = id;
        FER_TRY(value_fill(b, id, &b->views[index]));
    }
    *out_index = b->index_of[id] - 1;
    return FER_OK;
}

static fer_status
indices_fill(builder *b, const fer_value_id *ids, uint32_t count, const uint32_t **out_indices) {
    uint32_t *indices = FERI_BUMP_ARRAY(b->bump, uint32_t, count);
    if (indices == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < count; i++) {
        FER_TRY(value_index(b, ids[i], &indices[i]));
    }
    *out_indices = indices;
    return FER_OK;
}

static double node_work(const fer_graph *graph, const feri_gnode *node, feri_bump *bump) {
    feri_fact **facts =
        FERI_BUMP_ARRAY(bump, feri_fact *, (uint64_t)node->input_count + node->output_count);
    feri_fact *unwanted = FERI_BUMP_ARRAY(bump, feri_fact, 1);
    if (facts == NULL || unwanted == NULL) {
        return 0;
    }
    feri_infer call = feri_node_call(graph, node, facts, bump);
    for (uint32_t i = 0; i < node->output_count; i++) {
        facts[node->input_count + i] = call.out[i] == NULL ? unwanted : call.out[i];
    }
    return feri_op_work(&call);
}

static fer_status node_fill(builder *b, const feri_gnode *node, fer_node_view *out) {
    out->struct_size = sizeof(*out);
    out->op = node->op->number;
    out->revision = node->revision;
    out->input_count = node->input_count;
    out->output_count = node->output_count;
    out->attr_count = node->attr_count;
    out->attrs = node->attrs;
    out->name = node->name;
    out->op_name = feri_op_name(node->op);
    FER_TRY(indices_fill(b, node->inputs, node->input_count, &out->inputs));
    FER_TRY(indices_fill(b, node->outputs, node->output_count, &out->outputs));
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (out->inputs[i] != FER_NO_VALUE) {
            b->inside[out->inputs[i]]++;
        }
    }
    int is_late = (node->op->flags & FERI_OP_DATA_DEPENDENT) != 0;
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (out->outputs[i] != FER_NO_VALUE) {
            b->is_made[out->outputs[i]] = 1;
            b->views[out->outputs[i]].flags |= is_late ? (uint32_t)FER_VALUE_DATA_DEPENDENT : 0;
        }
    }
    out->work = node_work(b->graph, node, b->bump);
    return FER_OK;
}

static fer_status ends_fill(builder *b) {
    fer_subgraph *graph = &b->view->graph;
    uint32_t *inputs = FERI_BUMP_ARRAY(b->bump, uint32_t, graph->value_count);
    uint32_t *outputs = FERI_BUMP_ARRAY(b->bump, uint32_t, graph->value_count);
    uint32_t *constants = FERI_BUMP_ARRAY(b->bump, uint32_t, graph->value_count);
    const fer_value_view **values =
        FERI_BUMP_ARRAY(b->bump, const fer_value_view *, graph->value_count);
    if (inputs == NULL || outputs == NULL || constants == NULL || values == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < graph->value_count; i++) {
        const feri_gvalue *value = &b->graph->values[b->view->value_ids[i]];
        values[i] = &b->views[i];
        if (b->is_made[i]) {
            if (b->inside[i] < value->use_count) {
                b->views[i].flags |= FER_VALUE_OUTPUT;
                outputs[graph->output_count++] = i;
            }
        } else if (value->origin == FERI_ORIGIN_CONSTANT) {
            constants[graph->constant_count++] = i;
        } else {
            b->views[i].flags |= FER_VALUE_INPUT;
            inputs[graph->input_count++] = i;
        }
    }
    graph->inputs = inputs;
    graph->outputs = outputs;
    graph->constants = constants;
    graph->values = values;
    return FER_OK;
}

static fer_status view_fill(builder *b, const uint32_t *node_indices, uint32_t node_count) {
    feri_view *view = b->view;
    fer_node_view *nodes = FERI_BUMP_ARRAY(b->bump, fer_node_view, node_count);
    const fer_node_view **node_pointers =
        FERI_BUMP_ARRAY(b->bump, const fer_node_view *, node_count);
    view->node_indices = FERI_BUMP_ARRAY(b->bump, uint32_t, node_count);
    for (uint32_t i = 0; i < node_count; i++) {
        const feri_gnode *node = b->graph->nodes[node_indices[i]];
        b->capacity += node->input_count + node->output_count;
    }
    if (b->capacity > b->graph->value_count) {
        b->capacity = b->graph->value_count;
    }
    view->value_ids = FERI_BUMP_ARRAY(b->bump, fer_value_id, b->capacity);
    b->views = FERI_BUMP_ARRAY(b->bump, fer_value_view, b->capacity);
    b->inside = FERI_BUMP_ARRAY(b->bump, uint32_t, b->capacity);
    b->is_made = FERI_BUMP_ARRAY(b->bump, uint8_t, b->capacity);
    if (nodes == NULL || node_pointers == NULL || view->node_indices == NULL ||
        view->value_ids == NULL || b->views == NULL || b->inside == NULL || b->is_made == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < node_count; i++) {
        view->node_indices[i] = node_indices[i];
        node_pointers[i] = &nodes[i];
        FER_TRY(node_fill(b, b->graph->nodes[node_indices[i]], &nodes[i]));
    }
    view->graph.nodes = node_pointers;
    view->graph.node_count = node_count;
    return ends_fill(b);
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
    fer_status status = view_fill(&b, node_indices, node_count);
    feri_name_map_finish(&b.slots);
    for (uint32_t i = 0; i < out_view->graph.value_count; i++) {
        scratch[out_view->value_ids[i]] = 0;
    }
    return status;
}
