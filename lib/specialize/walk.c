/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk of a segment's graph: each node is emitted into the graph of this stage when its outputs
 * can be shaped from what is known now, and into the graph of later stages otherwise. Values that
 * come out known (shape arithmetic, small constants) leave no node behind. An If whose condition is
 * known is replaced by its branch.
 */
#include "base/error.h"
#include "specialize/specialize.h"
#include "tensor/dtype.h"

#include <string.h>

enum { IN_NOTHING, IN_NOW, IN_LATER };

typedef struct place {
    uint8_t where;
    fer_value_id id;
} place;

typedef struct walker {
    fer_graph *now;
    fer_graph *later;
    int is_symbolic;
    int needs_numbers;
    uint8_t *is_late; /* per value of now: its dims come from the run */
    uint32_t late_capacity;
    fer_value_id *imported; /* per value of now: its input in later + 1 */
    uint32_t imported_capacity;
    fer_value_id *crossing; /* per input of later: the value of now */
    uint32_t crossing_capacity;
    feri_bump scratch;
} walker;

/* ---- settling a node ---- */

static int all_known(const feri_fact *fact, int *out_numbers) {
    if (fact->elements == NULL || fact->kind != FER_KIND_TENSOR || !feri_fact_is_concrete(fact)) {
        return 0;
    }
    for (uint32_t i = 0; i < fact->element_count; i++) {
        if (feri_sym_is_unknown(fact->elements[i])) {
            return 0;
        }
        *out_numbers &= feri_sym_is_number(fact->elements[i]);
    }
    return 1;
}

static fer_status known_constant(fer_graph *graph, feri_gvalue *value) {
    const feri_fact *fact = &value->fact;
    int64_t dims[FER_MAX_RANK];
    for (int32_t i = 0; i < fact->rank; i++) {
        dims[i] = fact->dims[i].number;
    }
    fer_tensor *tensor = NULL;
    FER_TRY(fer_tensor_create(
        (fer_context *)graph->env, fact->dtype, (uint32_t)fact->rank, dims, &tensor));
    void *data = fer_tensor_data(tensor);
    int is_float = feri_dtype_class(fact->dtype) == FERI_CLASS_FLOAT;
    for (uint32_t i = 0; i < fact->element_count; i++) {
        double number = feri_sym_as_f64(fact->elements[i]);
        if (is_float) {
            feri_store_run_f64(fact->dtype, data, i, 1, &number, /*saturate=*/0);
        } else {
            feri_store_run_i64(fact->dtype, data, i, 1, &fact->elements[i].number);
        }
    }
    value->origin = FERI_ORIGIN_CONSTANT;
    value->constant = tensor;
    value->fact.data = data;
    return FER_OK;
}

static fer_status known_make(fer_graph *graph, feri_gnode *node) {
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] == FER_NO_VALUE) {
            continue;
        }
        feri_gvalue *value = &graph->values[node->outputs[i]];
        int numbers = 1;
        (void)all_known(&value->fact, &numbers);
        if (numbers) {
            FER_TRY(known_constant(graph, value));
        } else {
            value->origin = FERI_ORIGIN_SHAPE;
        }
    }
    node->is_dead = 1;
    return FER_OK;
}

static int dims_are_known(const feri_fact *fact) {
    if (fact->kind != FER_KIND_TENSOR || fact->dtype == FER_DTYPE_NONE || fact->rank < 0) {
        return 0;
    }
    for (int32_t i = 0; i < fact->rank; i++) {
        if (feri_sym_is_unknown(fact->dims[i])) {
            return 0;
        }
    }
    return 1;
}

fer_status feri_node_settle(fer_graph *graph, feri_gnode *node, int *out_undetermined) {
    *out_undetermined = 0;
    FER_TRY(feri_graph_infer_node(graph, node));
    int known = (node->op->flags & (FERI_OP_RANDOM | FERI_OP_CONTROL)) == 0;
    int numbers = 1;
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != FER_NO_VALUE) {
            const feri_fact *fact = &graph->values[node->outputs[i]].fact;
            known &= all_known(fact, &numbers);
            *out_undetermined |= !dims_are_known(fact);
        }
    }
    return known && !*out_undetermined ? known_make(graph, node) : FER_OK;
}

/* ---- arrays that grow with the graphs ---- */

static fer_status late_set(walker *w, fer_value_id id, uint8_t is_late) {
    FER_TRY(feri_bump_grow(&w->scratch, &w->is_late, &w->late_capacity, id + 1, sizeof(uint8_t)));
    w->is_late[id] = is_late;
    return FER_OK;
}

static int late_get(const walker *w, fer_value_id id) {
    return id < w->late_capacity && w->is_late[id];
}

/* ---- later ---- */

/* The value of later that stands for a value of now. */
static fer_status import_value(walker *w, fer_value_id id, fer_value_id *out_id) {
    FER_TRY(feri_bump_grow(
        &w->scratch, &w->imported, &w->imported_capacity, id + 1, sizeof(fer_value_id)));
    if (w->imported[id] != 0) {
        *out_id = w->imported[id] - 1;
        return FER_OK;
    }
    const feri_gvalue *value = &w->now->values[id];
    if (value->origin == FERI_ORIGIN_CONSTANT) {
        FER_TRY(feri_graph_new_constant(w->later, value->name, value->constant, out_id));
    } else {
        FER_TRY(feri_graph_new_input(w->later, value->name, out_id));
        feri_fact *fact = &w->later->values[*out_id].fact;
        fact->kind = value->fact.kind;
        fact->dtype = value->fact.dtype;
        fact->rank = value->fact.rank;
        fact->is_optional_of_sequence = value->fact.is_optional_of_sequence;
        if (fact->rank > 0) {
            fact->dims = FERI_BUMP_ARRAY(&w->later->bump, feri_sym, (uint64_t)fact->rank);
            if (fact->dims == NULL) {
                return fer_error_last()->status;
            }
            for (int32_t i = 0; i < fact->rank; i++) {
                fact->dims[i] = feri_sym_is_number(value->fact.dims[i]) ? value->fact.dims[i]
                                                                        : feri_sym_unknown();
            }
        }
        FER_TRY(feri_bump_grow(&w->scratch,
                               &w->crossing,
                               &w->crossing_capacity,
                               w->later->input_count,
                               sizeof(fer_value_id)));
        w->crossing[w->later->input_count - 1] = id;
    }
    w->imported[id] = *out_id + 1;
    return FER_OK;
}

/* ---- emission ---- */

/* A copy of node whose inputs and outputs are new values of target, bodies adopted. */
static fer_status node_copy(walker *w,
                            fer_graph *target,
                            const feri_gnode *node,
                            const fer_value_id *inputs,
                            feri_gnode **out_node) {
    feri_gnode copy = *node;
    copy.inputs = (fer_value_id *)(uintptr_t)inputs;
    copy.outputs = FERI_BUMP_ARRAY(&w->scratch, fer_value_id, node->output_count);
    copy.bodies = FERI_BUMP_ARRAY(&w->scratch, fer_graph *, node->body_count);
    if (copy.outputs == NULL || copy.bodies == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        copy.outputs[i] = FER_NO_VALUE;
        if (node->outputs[i] != FER_NO_VALUE) {
            FER_TRY(feri_graph_new_value(target, NULL, FERI_ORIGIN_NODE, &copy.outputs[i]));
        }
    }
    uint32_t made = 0;
    fer_status status = FER_OK;
    for (; made < node->body_count && status == FER_OK; made++) {
        status = feri_graph_adopt(target, node->bodies[made], &copy.bodies[made]);
        if (status != FER_OK) {
            break;
        }
    }
    if (status == FER_OK) {
        status = feri_graph_append_node(target, &copy, out_node);
    }
    for (uint32_t i = 0; status != FER_OK && i < made; i++) {
        feri_graph_destroy(copy.bodies[i]);
    }
    return status;
}

static void outputs_map(const feri_gnode *node, const feri_gnode *copy, uint8_t where, place *map) {
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != FER_NO_VALUE) {
            map[node->outputs[i]] = (place){where, copy->outputs[i]};
        }
    }
}

static fer_status emit_later(walker *w, const feri_gnode *node, place *map) {
    fer_value_id *inputs = FERI_BUMP_ARRAY(&w->scratch, fer_value_id, node->input_count);
    if (inputs == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        inputs[i] = FER_NO_VALUE;
        if (node->inputs[i] != FER_NO_VALUE) {
            place from = map[node->inputs[i]];
            inputs[i] = from.id;
            if (from.where == IN_NOW) {
                FER_TRY(import_value(w, from.id, &inputs[i]));
            }
        }
    }
    feri_gnode *copy = NULL;
    FER_TRY(node_copy(w, w->later, node, inputs, &copy));
    outputs_map(node, copy, IN_LATER, map);
    return FER_OK;
}

static fer_status host_emit(walker *w, feri_gnode *copy) {
    const char *why = feri_host_refuses(w->now, copy);
    if (why != NULL) {
        fer_status status = feri_fail(
            FER_UNSUPPORTED, "'%s' (node '%s'): %s", feri_op_name(copy->op), copy->name, why);
        feri_error_set_node(copy->name);
        return status;
    }
    copy->host_only = 1;
    for (uint32_t i = 0; i < copy->output_count; i++) {
        if (copy->outputs[i] != FER_NO_VALUE) {
            FER_TRY(late_set(w, copy->outputs[i], 1));
        }
    }
    return FER_OK;
}

static int inputs_where(const walker *w, const feri_gnode *node, const place *map, int *out_late) {
    int is_later = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] != FER_NO_VALUE) {
            place from = map[node->inputs[i]];
            is_later |= from.where == IN_LATER;
            *out_late |= from.where == IN_NOW && late_get(w, from.id);
        }
    }
    return is_later;
}

static fer_status outputs_late(walker *w, const feri_gnode *copy) {
    for (uint32_t i = 0; i < copy->output_count; i++) {
        if (copy->outputs[i] != FER_NO_VALUE && w->now->values[copy->outputs[i]].fact.rank >= 0) {
            FER_TRY(late_set(w, copy->outputs[i], 1));
        }
    }
    return FER_OK;
}

static fer_status emit(walker *w, const feri_gnode *node, place *map) {
    int is_late = 0;
    if (inputs_where(w, node, map, &is_late)) {
        return emit_later(w, node, map);
    }
    fer_value_id *inputs = FERI_BUMP_ARRAY(&w->scratch, fer_value_id, node->input_count);
    if (inputs == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        inputs[i] = node->inputs[i] == FER_NO_VALUE ? FER_NO_VALUE : map[node->inputs[i]].id;
    }
    feri_gnode *copy = NULL;
    FER_TRY(node_copy(w, w->now, node, inputs, &copy));
    int undetermined = 0;
    if (is_late && !feri_node_is_host(w->now, copy)) {
        copy->is_dead = 1;
        return emit_later(w, node, map);
    }
    FER_TRY(feri_node_settle(w->now, copy, &undetermined));
    outputs_map(node, copy, IN_NOW, map);
    if (copy->is_dead) {
        return FER_OK;
    }
    if (feri_node_is_host(w->now, copy)) {
        return host_emit(w, copy);
    }
    if (!undetermined) {
        return FER_OK;
    }
    if ((node->op->flags & FERI_OP_DATA_DEPENDENT) != 0) {
        return outputs_late(w, copy);
    }
    if (w->is_symbolic) {
        w->needs_numbers = 1;
        return FER_OK;
    }
    copy->is_dead = 1;
    return emit_later(w, node, map);
}

/* ---- graphs and branches ---- */

static fer_status graph_walk(walker *w, const fer_graph *graph, place *map);

static fer_status constants_map(walker *w, const fer_graph *graph, place *map) {
    for (uint32_t i = 0; i < graph->value_count; i++) {
        const feri_gvalue *value = &graph->values[i];
        if (value->origin == FERI_ORIGIN_CONSTANT) {
            map[i].where = IN_NOW;
            FER_TRY(feri_graph_new_constant(w->now, value->name, value->constant, &map[i].id));
        }
    }
    return FER_OK;
}

static fer_status
branch_inline(walker *w, const feri_gnode *node, const fer_graph *branch, place *map) {
    place *inner = FERI_BUMP_ARRAY(&w->scratch, place, branch->value_count);
    if (inner == NULL) {
        return fer_error_last()->status;
    }
    FER_TRY(constants_map(w, branch, inner));
    uint32_t formal = branch->input_count - branch->capture_count;
    for (uint32_t i = 0; i < branch->capture_count; i++) {
        inner[branch->inputs[formal + i]] = map[node->inputs[branch->captures[i]]];
    }
    FER_TRY(graph_walk(w, branch, inner));
    for (uint32_t i = 0; i < node->output_count && i < branch->output_count; i++) {
        if (node->outputs[i] != FER_NO_VALUE) {
            map[node->outputs[i]] = inner[branch->outputs[i]];
        }
    }
    return FER_OK;
}

static fer_status if_walk(walker *w, const feri_gnode *node, place *map) {
    place cond = map[node->inputs[0]];
    if (cond.where == IN_LATER || late_get(w, cond.id)) {
        return emit_later(w, node, map);
    }
    feri_fact *fact = &w->now->values[cond.id].fact;
    const feri_sym *elements = feri_fact_elements(fact, &w->now->bump);
    if (elements == NULL || fact->element_count != 1 || !feri_sym_is_number(elements[0])) {
        if (w->is_symbolic) {
            w->needs_numbers = 1;
            return FER_OK;
        }
        return emit_later(w, node, map);
    }
    const char *attr = elements[0].number != 0 ? "then_branch" : "else_branch";
    return branch_inline(w, node, feri_node_body(node, attr), map);
}

static fer_status graph_walk(walker *w, const fer_graph *graph, place *map) {
    for (uint32_t i = 0; i < graph->node_count && !w->needs_numbers; i++) {
        const feri_gnode *node = graph->nodes[i];
        if (node->is_dead) {
            continue;
        }
        FER_TRY(feri_control_kind(node->op) == FERI_CONTROL_IF ? if_walk(w, node, map)
                                                               : emit(w, node, map));
    }
    return FER_OK;
}

/* ---- the ends ---- */

static fer_status
now_output(walker *w, const char *name, fer_value_id id, feri_source *out_source) {
    out_source->index = w->now->output_count;
    return feri_graph_append_output(w->now, name, id);
}

static fer_status ends_connect(
    walker *w, const fer_graph *graph, const place *map, feri_bump *bump, feri_walked *walked) {
    walked->outputs = FERI_BUMP_ARRAY(bump, feri_source, graph->output_count);
    if (walked->outputs == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        place from = map[graph->outputs[i]];
        if (from.where == IN_LATER) {
            walked->outputs[i] = (feri_source){.is_next = 1, .index = w->later->output_count};
            FER_TRY(feri_graph_append_output(w->later, graph->output_names[i], from.id));
        } else {
            FER_TRY(now_output(w, graph->output_names[i], from.id, &walked->outputs[i]));
        }
    }
    if (w->later->output_count == 0) {
        return FER_OK;
    }
    walked->later_inputs = FERI_BUMP_ARRAY(bump, feri_source, w->later->input_count);
    if (walked->later_inputs == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < w->later->input_count; i++) {
        fer_value_id id = w->crossing[i];
        if (w->now->values[id].origin == FERI_ORIGIN_INPUT) {
            walked->later_inputs[i].is_input = 1;
            for (uint32_t k = 0; k < w->now->input_count; k++) {
                walked->later_inputs[i].index =
                    w->now->inputs[k] == id ? k : walked->later_inputs[i].index;
            }
        } else {
            FER_TRY(now_output(w, "", id, &walked->later_inputs[i]));
        }
    }
    return FER_OK;
}

static fer_status
walk_all(walker *w, const fer_graph *graph, feri_bump *bump, feri_walked *walked) {
    place *map = FERI_BUMP_ARRAY(&w->scratch, place, graph->value_count);
    if (map == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        map[graph->inputs[i]] = (place){IN_NOW, w->now->inputs[i]};
    }
    FER_TRY(constants_map(w, graph, map));
    FER_TRY(graph_walk(w, graph, map));
    walked->needs_numbers = (uint8_t)w->needs_numbers;
    if (w->needs_numbers) {
        return FER_OK;
    }
    uint32_t emitted = 0;
    for (uint32_t i = 0; i < w->now->node_count; i++) {
        emitted += !w->now->nodes[i]->is_dead;
    }
    if (emitted == 0 && w->later->node_count > 0 && w->later->node_count >= graph->node_count) {
        const feri_gnode *node = w->later->nodes[0];
        fer_status status = feri_fail(
            FER_UNSUPPORTED,
            "the output shape of '%s' (node '%s') cannot be determined, even with every value "
            "before it at hand",
            feri_op_name(node->op),
            node->name);
        feri_error_set_node(node->name);
        return status;
    }
    return ends_connect(w, graph, map, bump, walked);
}

fer_status feri_walk(const fer_graph *graph,
                     int is_symbolic,
                     fer_graph *now,
                     feri_bump *bump,
                     feri_walked *out_walked) {
    memset(out_walked, 0, sizeof(*out_walked));
    walker w = {.now = now, .is_symbolic = is_symbolic};
    FER_TRY(feri_graph_create(graph->env, /*parent=*/NULL, &w.later));
    w.later->source_count = graph->root->source_count;
    w.later->file = fer_tensor_retain(graph->root->file);
    feri_bump_init(&w.scratch, graph->env);
    fer_status status = walk_all(&w, graph, bump, out_walked);
    if (status == FER_OK) {
        status = feri_terms_status(now->terms);
    }
    feri_bump_finish(&w.scratch);
    if (status != FER_OK || w.later->output_count == 0 || w.needs_numbers) {
        feri_graph_destroy(w.later);
        w.later = NULL;
    }
    if (status == FER_OK && !w.needs_numbers) {
        feri_graph_compact(now);
        if (w.later != NULL) {
            feri_graph_compact(w.later);
        }
        out_walked->now = now;
        out_walked->later = w.later;
    }
    return status;
}
