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

/* What is kept beside each value of now. There are at least as many values as inputs of later that
 * stand for one, so that the list of those, crossing, is here too. */
typedef struct beside {
    uint8_t is_late;       /* its dims come from the run */
    fer_value_id imported; /* what stands for it in later, plus 1 */
    fer_value_id crossing; /* of later's input of this index: the value of now */
} beside;

typedef struct walker {
    fer_graph *now;
    fer_graph *later;
    int is_symbolic;
    uint32_t capacity;
    beside *beside; /* now->value_count */
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

/* ---- later ---- */

/* After values were added to now. */
static fer_status beside_grow(walker *w) {
    return feri_bump_grow(
        &w->scratch, &w->beside, &w->capacity, w->now->value_count, sizeof(beside));
}

/* The value of later that stands for a value of now. */
static fer_status import_value(walker *w, fer_value_id id, fer_value_id *out_id) {
    beside *known = &w->beside[id];
    if (known->imported == 0) {
        const feri_gvalue *value = &w->now->values[id];
        if (value->origin == FERI_ORIGIN_CONSTANT) {
            FER_TRY(feri_graph_new_constant(w->later, value->name, value->constant, out_id));
        } else {
            w->beside[w->later->input_count].crossing = id;
            FER_TRY(feri_graph_new_input(w->later, value->name, out_id));
            feri_fact *fact = &w->later->values[*out_id].fact;
            fact->kind = value->fact.kind;
            fact->dtype = value->fact.dtype;
            fact->is_optional_of_sequence = value->fact.is_optional_of_sequence;
            FER_TRY(feri_fact_set_dims(fact, &w->later->bump, value->fact.rank, value->fact.dims));
            for (int32_t i = 0; i < fact->rank; i++) {
                if (!feri_sym_is_number(fact->dims[i])) {
                    fact->dims[i] = feri_sym_unknown();
                }
            }
        }
        known->imported = *out_id + 1;
    }
    *out_id = known->imported - 1;
    return FER_OK;
}

/* ---- emission ---- */

static fer_status bodies_adopt(fer_graph *target, const feri_gnode *node, fer_graph **bodies) {
    for (uint32_t i = 0; i < node->body_count; i++) {
        FER_TRY(feri_graph_adopt(target, node->bodies[i], &bodies[i]));
    }
    return FER_OK;
}

/* A copy of node in the graph of this stage or of later ones: its inputs as map has them, its
 * outputs and bodies new ones of that graph; map has the outputs then. */
static fer_status
node_emit(walker *w, const feri_gnode *node, place *map, uint8_t where, feri_gnode **out_node) {
    fer_graph *target = where == IN_NOW ? w->now : w->later;
    feri_gnode copy = *node;
    copy.inputs = FERI_BUMP_ARRAY(
        &w->scratch, fer_value_id, (uint64_t)node->input_count + node->output_count);
    copy.bodies = FERI_BUMP_ARRAY(&w->scratch, fer_graph *, node->body_count);
    if (copy.inputs == NULL || copy.bodies == NULL) {
        return feri_error_status();
    }
    copy.outputs = copy.inputs + node->input_count;
    for (uint32_t i = 0; i < node->input_count; i++) {
        copy.inputs[i] = FER_NO_VALUE;
        if (node->inputs[i] != FER_NO_VALUE) {
            place from = map[node->inputs[i]];
            copy.inputs[i] = from.id;
            if (from.where != where) {
                FER_TRY(import_value(w, from.id, &copy.inputs[i]));
            }
        }
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        copy.outputs[i] = FER_NO_VALUE;
        if (node->outputs[i] != FER_NO_VALUE) {
            FER_TRY(feri_graph_new_value(target, NULL, FERI_ORIGIN_NODE, &copy.outputs[i]));
            map[node->outputs[i]] = (place){where, copy.outputs[i]};
        }
    }
    FER_TRY(beside_grow(w));
    fer_status status = bodies_adopt(target, node, copy.bodies);
    if (status == FER_OK) {
        status = feri_graph_append_node(target, &copy, out_node);
    }
    for (uint32_t i = 0; status != FER_OK && i < node->body_count; i++) {
        feri_graph_destroy(copy.bodies[i]);
    }
    return status;
}

static fer_status emit_later(walker *w, const feri_gnode *node, place *map) {
    feri_gnode *copy;
    return node_emit(w, node, map, IN_LATER, &copy);
}

static fer_status emit(walker *w, const feri_gnode *node, place *map) {
    int is_late = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] != FER_NO_VALUE) {
            place from = map[node->inputs[i]];
            if (from.where == IN_LATER) {
                return emit_later(w, node, map);
            }
            is_late |= w->beside[from.id].is_late;
        }
    }
    feri_gnode *copy = NULL;
    FER_TRY(node_emit(w, node, map, IN_NOW, &copy));
    if (is_late && !feri_node_is_host(w->now, copy)) {
        copy->is_dead = 1;
        return emit_later(w, node, map);
    }
    int undetermined = 0;
    FER_TRY(feri_node_settle(w->now, copy, &undetermined));
    if (copy->is_dead) {
        return FER_OK;
    }
    copy->host_only = feri_node_is_host(w->now, copy) != 0;
    if (copy->host_only) {
        const char *why = feri_host_refuses(w->now, copy);
        if (why != NULL) {
            (void)feri_fail(
                FER_UNSUPPORTED, "'%s' (node '%s'): %s", feri_op_name(copy->op), copy->name, why);
            return feri_error_set_node(copy->name);
        }
    } else if (!undetermined) {
        return FER_OK;
    } else if ((node->op->flags & FERI_OP_DATA_DEPENDENT) == 0) {
        if (w->is_symbolic) {
            return FERI_NEEDS_NUMBERS;
        }
        copy->is_dead = 1;
        return emit_later(w, node, map);
    }
    for (uint32_t i = 0; i < copy->output_count; i++) {
        fer_value_id id = copy->outputs[i];
        if (id != FER_NO_VALUE && (copy->host_only || w->now->values[id].fact.rank >= 0)) {
            w->beside[id].is_late = 1;
        }
    }
    return FER_OK;
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
    return beside_grow(w);
}

static fer_status
branch_inline(walker *w, const feri_gnode *node, const fer_graph *branch, place *map) {
    place *inner = FERI_BUMP_ARRAY(&w->scratch, place, branch->value_count);
    if (inner == NULL) {
        return feri_error_status();
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
    if (cond.where == IN_LATER || w->beside[cond.id].is_late) {
        return emit_later(w, node, map);
    }
    feri_fact *fact = &w->now->values[cond.id].fact;
    const feri_sym *elements = feri_fact_elements(fact, &w->now->bump);
    if (elements == NULL || fact->element_count != 1 || !feri_sym_is_number(elements[0])) {
        return w->is_symbolic ? FERI_NEEDS_NUMBERS : emit_later(w, node, map);
    }
    const char *attr = elements[0].number != 0 ? "then_branch" : "else_branch";
    return branch_inline(w, node, feri_node_body(node, attr), map);
}

static fer_status graph_walk(walker *w, const fer_graph *graph, place *map) {
    for (uint32_t i = 0; i < graph->node_count; i++) {
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

static fer_status
ends_connect(walker *w, const fer_graph *graph, const place *map, feri_spec *spec) {
    spec->outputs = FERI_BUMP_ARRAY(&spec->bump, feri_source, graph->output_count);
    if (spec->outputs == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        place from = map[graph->outputs[i]];
        if (from.where == IN_LATER) {
            spec->outputs[i] = (feri_source){.is_next = 1, .index = w->later->output_count};
            FER_TRY(feri_graph_append_output(w->later, graph->output_names[i], from.id));
        } else {
            FER_TRY(now_output(w, graph->output_names[i], from.id, &spec->outputs[i]));
        }
    }
    uint32_t count = w->later->output_count == 0 ? 0 : w->later->input_count;
    spec->next_inputs = FERI_BUMP_ARRAY(&spec->bump, feri_source, count);
    if (spec->next_inputs == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < count; i++) {
        feri_source *source = &spec->next_inputs[i];
        fer_value_id id = w->beside[i].crossing;
        if (w->now->values[id].origin == FERI_ORIGIN_INPUT) {
            source->is_input = 1;
            while (w->now->inputs[source->index] != id) {
                source->index++;
            }
        } else {
            FER_TRY(now_output(w, "", id, source));
        }
    }
    return FER_OK;
}

static fer_status walk_all(walker *w, const fer_graph *graph, feri_spec *spec) {
    place *map = FERI_BUMP_ARRAY(&w->scratch, place, graph->value_count);
    if (map == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        map[graph->inputs[i]] = (place){IN_NOW, w->now->inputs[i]};
    }
    FER_TRY(constants_map(w, graph, map));
    FER_TRY(graph_walk(w, graph, map));
    uint32_t emitted = 0;
    for (uint32_t i = 0; i < w->now->node_count; i++) {
        emitted += !w->now->nodes[i]->is_dead;
    }
    if (emitted == 0 && w->later->node_count > 0 && w->later->node_count >= graph->node_count) {
        const feri_gnode *node = w->later->nodes[0];
        (void)feri_fail(FER_UNSUPPORTED,
                        "the output shape of '%s' (node '%s') cannot be determined, even with "
                        "every value before it at hand",
                        feri_op_name(node->op),
                        node->name);
        return feri_error_set_node(node->name);
    }
    FER_TRY(ends_connect(w, graph, map, spec));
    feri_graph_compact(w->now);
    feri_graph_compact(w->later);
    return feri_terms_status(w->now->terms);
}

fer_status feri_stage_create(const fer_graph *graph, fer_graph **out_stage) {
    FER_TRY(feri_graph_create(graph->env, /*parent=*/NULL, out_stage));
    (*out_stage)->source_count = graph->root->source_count;
    (*out_stage)->file = fer_tensor_retain(graph->root->file);
    return FER_OK;
}

fer_status feri_walk(const fer_graph *graph, feri_spec *spec, fer_graph **out_later) {
    walker w = {.now = spec->graph, .is_symbolic = spec->is_symbolic};
    FER_TRY(feri_stage_create(graph, &w.later));
    feri_bump_init(&w.scratch, graph->env);
    fer_status status = walk_all(&w, graph, spec);
    feri_bump_finish(&w.scratch);
    if (status != FER_OK || w.later->output_count == 0) {
        feri_graph_destroy(w.later);
        w.later = NULL;
    }
    *out_later = w.later;
    return status;
}
