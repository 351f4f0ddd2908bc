/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradient, taken apart: values named in xs and zs are replaced by the node's operands, what lies
 * between them and y is computed anew where an operand differs, and gradients flow back from y. A
 * gradient of a broadcast operand is summed to the operand's shape, whose dims must be known for
 * that. Called by import/.
 */
#include "graph/gradient.h"

#include "base/error.h"
#include "graph/expand.h"

#include <stdio.h>
#include <string.h>

enum { MOST_OPERANDS = 24 };

typedef struct reverse {
    fer_graph *graph;
    const feri_gnode *node; /* the Gradient */
    uint32_t value_count;   /* of the graph before anything was added */
    fer_value_id *now;      /* per value: itself, or what stands for it */
    fer_value_id *gradient; /* per value: of y by it, FER_NO_VALUE none */
    uint8_t *depends;       /* per value: on one of xs */
} reverse;

static fer_status wrong(const reverse *r, const char *what, const char *name) {
    fer_status status = feri_fail(
        FER_INVALID_MODEL, "Gradient '%s': %s '%s'", r->node->name, what, name ? name : "");
    feri_error_set_node(r->node->name);
    return status;
}

static fer_value_id find_value(const reverse *r, const char *name) {
    for (uint32_t v = 0; v < r->value_count; v++) {
        if (name && name[0] && strcmp(r->graph->values[v].name, name) == 0) {
            return v;
        }
    }
    return FER_NO_VALUE;
}

/* ---- texts on values ---- */

/* Names of operands as expand.h reads a row: "i0:T, ...", then results "h0:T, ...". */
typedef struct run {
    char names[700];
    size_t length;
    size_t outputs; /* where those of results begin */
    fer_value_id in[3 * MOST_OPERANDS];
    uint32_t in_count;
    fer_value_id out[MOST_OPERANDS];
    uint32_t out_count;
} run;

static void add_name(run *x, char letter, uint32_t number, int starts) {
    int added = snprintf(x->names + x->length,
                         sizeof(x->names) - x->length,
                         starts ? "%c%u:T" : ", %c%u:T",
                         letter,
                         number);
    x->length += added > 0 ? (size_t)added : 0;
}

static void add_operand(run *x, char letter, uint32_t number, fer_value_id value) {
    add_name(x, letter, number, x->in_count == 0);
    x->in[x->in_count++] = value;
}

/* A new value of like's dtype for a result; FER_NO_VALUE where it is not wanted. */
static fer_status add_result(reverse *r, run *x, uint32_t number, fer_value_id like) {
    fer_value_id value = FER_NO_VALUE;
    if (x->out_count == 0) {
        x->outputs = ++x->length; /* behind the NUL */
    }
    add_name(x, 'h', number, x->out_count == 0);
    if (like != FER_NO_VALUE) {
        FER_TRY(feri_graph_new_value(r->graph, NULL, FERI_ORIGIN_NODE, &value));
        r->graph->values[value].fact.kind = FER_KIND_TENSOR;
        r->graph->values[value].fact.dtype = r->graph->values[like].fact.dtype;
    }
    x->out[x->out_count++] = value;
    return FER_OK;
}

/* Runs the text with the attributes of like; nodes keep the Gradient's name. */
static fer_status run_text(reverse *r, run *x, const feri_gnode *like, const char *text) {
    const feri_expand_row row = {feri_op_name(r->node->op), x->names, x->names + x->outputs};
    const feri_gnode node = {.name = r->node->name,
                             .source = r->node->source,
                             .inputs = x->in,
                             .input_count = x->in_count,
                             .formal_count = x->in_count,
                             .outputs = x->out,
                             .output_count = x->out_count,
                             .attrs = like ? like->attrs : NULL,
                             .attr_count = like ? like->attr_count : 0};
    return feri_expand_row_text(r->graph, &node, &row, text);
}

/* h0 of a text in i0 and, unless it is FER_NO_VALUE, i1. */
static fer_status
run_small(reverse *r, fer_value_id a, fer_value_id b, const char *text, fer_value_id *out_value) {
    run x = {.length = 0};
    add_operand(&x, 'i', 0, a);
    if (b != FER_NO_VALUE) {
        add_operand(&x, 'i', 1, b);
    }
    FER_TRY(add_result(r, &x, 0, a));
    FER_TRY(run_text(r, &x, NULL, text));
    *out_value = x.out[0];
    return FER_OK;
}

/* ---- forwards ---- */

/* Marks what depends on xs, and computes anew what an operand changes. */
static fer_status go_forward(reverse *r, const feri_gnode *node) {
    int depends = 0, changes = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        fer_value_id id = node->inputs[i];
        if (id != FER_NO_VALUE) {
            depends |= r->depends[id];
            changes |= r->now[id] != id;
        }
    }
    fer_value_id *ids = NULL;
    if (changes) {
        ids = FERI_BUMP_ARRAY(
            &r->graph->bump, fer_value_id, (uint64_t)node->input_count + node->output_count);
        if (ids == NULL) {
            return feri_error_status();
        }
        if (node->body_count > 0) {
            return wrong(
                r, "other operands than the named ones do not go through", feri_op_name(node->op));
        }
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        fer_value_id id = node->outputs[o];
        /* Values named in xs and zs are independent, whatever made them. */
        if (id == FER_NO_VALUE || r->depends[id] || r->now[id] != id) {
            continue;
        }
        r->depends[id] = (uint8_t)depends;
        if (changes) {
            FER_TRY(feri_graph_new_value(r->graph, NULL, FERI_ORIGIN_NODE, &r->now[id]));
        }
    }
    if (!changes) {
        return FER_OK;
    }
    feri_gnode copy = *node;
    copy.inputs = ids;
    copy.outputs = ids + node->input_count;
    for (uint32_t i = 0; i < node->input_count; i++) {
        copy.inputs[i] = node->inputs[i] == FER_NO_VALUE ? FER_NO_VALUE : r->now[node->inputs[i]];
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        fer_value_id id = node->outputs[o];
        copy.outputs[o] = id == FER_NO_VALUE || r->now[id] == id ? FER_NO_VALUE : r->now[id];
    }
    feri_gnode *made = NULL;
    FER_TRY(feri_graph_append_node(r->graph, &copy, &made));
    return feri_graph_infer_node(r->graph, made);
}

/* ---- backwards ---- */

/* gradient, summed over the dims in which the operand was repeated. */
static fer_status sum_to_shape(reverse *r, fer_value_id operand, fer_value_id *in_out_gradient) {
    const feri_fact *want = &r->graph->values[operand].fact;
    const feri_fact *have = &r->graph->values[*in_out_gradient].fact;
    int32_t more = have->rank - want->rank, count = 0;
    if (have->rank < 0 || want->rank < 0 || more < 0) {
        return feri_fail(FER_UNSUPPORTED,
                         "Gradient '%s': the rank of a value is not known; give the model's inputs "
                         "fixed dims",
                         r->node->name);
    }
    feri_text text;
    feri_text_init(&text, r->graph->env);
    feri_text_add(&text, "h0 = Reshape(ReduceSum(i0, {i64:");
    for (int32_t d = 0; d < have->rank; d++) {
        int is_same = d >= more && feri_sym_equal(have->dims[d], want->dims[d - more]);
        int is_one = d < more ||
                     (feri_sym_is_number(want->dims[d - more]) && want->dims[d - more].number == 1);
        if (!is_same && !is_one) {
            feri_text_finish(&text);
            return feri_fail(FER_UNSUPPORTED,
                             "Gradient '%s': whether a value is broadcast is not known; give the "
                             "model's inputs fixed dims",
                             r->node->name);
        }
        if (!is_same) {
            feri_text_add(&text, " %d", (int)d);
            count++;
        }
    }
    feri_text_add(&text, "}, keepdims=0), Shape(i1))\n");
    fer_status status = text.status;
    if (status == FER_OK && count > 0) {
        status = run_small(r, *in_out_gradient, operand, text.data, in_out_gradient);
    }
    feri_text_finish(&text);
    return status;
}

static fer_status accumulate(reverse *r, fer_value_id value, fer_value_id more) {
    fer_value_id *sum = &r->gradient[value];
    FER_TRY(sum_to_shape(r, value, &more));
    if (*sum == FER_NO_VALUE) {
        *sum = more;
        return FER_OK;
    }
    return run_small(r, *sum, more, "h0 = Add(i0, i1)\n", sum);
}

static int is_float(const reverse *r, fer_value_id id) {
    fer_dtype dtype = r->graph->values[id].fact.dtype;
    return dtype == FER_F32 || dtype == FER_F64 || dtype == FER_F16 || dtype == FER_BF16;
}

static fer_status write_derivative(reverse *r, const feri_gnode *node, feri_text *text) {
    feri_fact *facts[2 * MOST_OPERANDS];
    const feri_infer call = feri_node_call(r->graph, node, facts, &r->graph->bump);
    return feri_derivative(&call, text);
}

/* The node's share: gradients of its operands from those of its results. */
static fer_status go_back(reverse *r, const feri_gnode *node) {
    int matters = 0;
    for (uint32_t o = 0; o < node->output_count; o++) {
        fer_value_id id = node->outputs[o];
        matters |= id != FER_NO_VALUE && r->gradient[id] != FER_NO_VALUE && r->depends[id];
    }
    if (!matters) {
        return FER_OK;
    }
    if (node->input_count > MOST_OPERANDS || node->output_count != 1) {
        return wrong(r,
                     "no derivative through an op of so many operands or results:",
                     feri_op_name(node->op));
    }
    run x = {.length = 0};
    for (uint32_t i = 0; i < node->input_count; i++) {
        fer_value_id id = node->inputs[i];
        add_operand(&x, 'i', i, id == FER_NO_VALUE ? id : r->now[id]);
    }
    add_operand(&x, 'o', 0, r->now[node->outputs[0]]);
    add_operand(&x, 'd', 0, r->gradient[node->outputs[0]]);
    for (uint32_t i = 0; i < node->input_count; i++) {
        fer_value_id id = node->inputs[i];
        int wants = id != FER_NO_VALUE && r->depends[id] && is_float(r, id);
        FER_TRY(add_result(r, &x, i, wants ? id : FER_NO_VALUE));
    }
    feri_text text;
    feri_text_init(&text, r->graph->env);
    fer_status status = write_derivative(r, node, &text);
    status = status ? status : run_text(r, &x, node, text.data ? text.data : "");
    feri_text_finish(&text);
    for (uint32_t i = 0; status == FER_OK && i < node->input_count; i++) {
        if (x.out[i] != FER_NO_VALUE) {
            status = accumulate(r, node->inputs[i], x.out[i]);
        }
    }
    return status;
}

/* ---- the node ---- */

/* Operand number first and on stand for the values a list names. */
static fer_status
bind_names(reverse *r, const char *list, uint32_t first, int depend, uint32_t *out_count) {
    const fer_attr *names = feri_attr_find(r->node->attrs, r->node->attr_count, list);
    *out_count = names ? names->count : 0;
    for (uint32_t i = 0; i < *out_count; i++) {
        fer_value_id value = find_value(r, names->value.strings[i].data);
        if (value == FER_NO_VALUE || first + i >= r->node->input_count ||
            r->node->inputs[first + i] == FER_NO_VALUE) {
            return wrong(r, "no value or operand for", names->value.strings[i].data);
        }
        r->now[value] = r->node->inputs[first + i];
        r->depends[value] = (uint8_t)depend;
    }
    return FER_OK;
}

/* Gradients of xs to the node's outputs; zeros where y does not depend on one. */
static fer_status give_results(reverse *r) {
    const fer_attr *xs = feri_attr_find(r->node->attrs, r->node->attr_count, "xs");
    for (uint32_t o = 0; xs && o < xs->count && o < r->node->output_count; o++) {
        fer_value_id value = find_value(r, xs->value.strings[o].data);
        fer_value_id from = r->gradient[value];
        if (r->node->outputs[o] == FER_NO_VALUE) {
            continue;
        }
        if (from == FER_NO_VALUE) {
            FER_TRY(run_small(r, r->now[value], FER_NO_VALUE, "h0 = Sub(i0, i0)\n", &from));
        }
        const feri_gnode draft = {.op = feri_op_find("", "Identity"),
                                  .name = r->node->name,
                                  .source = r->node->source,
                                  .revision = 25,
                                  .inputs = &from,
                                  .input_count = 1,
                                  .formal_count = 1,
                                  .outputs = &r->node->outputs[o],
                                  .output_count = 1};
        feri_gnode *made = NULL;
        if (draft.op == NULL) {
            return wrong(r, "this build has no op", "Identity");
        }
        FER_TRY(feri_graph_append_node(r->graph, &draft, &made));
        FER_TRY(feri_graph_infer_node(r->graph, made));
    }
    return FER_OK;
}

static fer_status take_apart(reverse *r) {
    uint32_t count = r->graph->node_count; /* y may stand behind the Gradient itself */
    const fer_attr *y = feri_attr_find(r->node->attrs, r->node->attr_count, "y");
    fer_value_id target = y ? find_value(r, y->value.s.data) : FER_NO_VALUE;
    uint32_t xs = 0, zs = 0;
    FER_TRY(bind_names(r, "xs", 0, /*depend=*/1, &xs));
    FER_TRY(bind_names(r, "zs", xs, /*depend=*/0, &zs));
    if (target == FER_NO_VALUE || xs == 0 || xs + zs != r->node->input_count) {
        return wrong(r,
                     "y, or as many operands as xs and zs name, are missing; y is",
                     y ? y->value.s.data : "");
    }
    for (uint32_t n = 0; n < count; n++) {
        if (r->graph->nodes[n] != r->node && !r->graph->nodes[n]->is_dead) {
            FER_TRY(go_forward(r, r->graph->nodes[n]));
        }
    }
    if (!is_float(r, target)) {
        return wrong(r, "the dtype cannot be differentiated of", y->value.s.data);
    }
    fer_value_id one = FER_NO_VALUE;
    FER_TRY(run_small(r, r->now[target], FER_NO_VALUE, "h0 = Expand({1: i0}, Shape(i0))\n", &one));
    r->gradient[target] = one;
    for (uint32_t n = count; n-- > 0;) {
        if (r->graph->nodes[n] != r->node && !r->graph->nodes[n]->is_dead) {
            FER_TRY(go_back(r, r->graph->nodes[n]));
        }
    }
    return give_results(r);
}

static fer_status differentiate_node(fer_graph *graph, uint32_t index) {
    feri_env *env = graph->env;
    uint32_t count = graph->value_count;
    uint64_t bytes = feri_mul_sat(count, sizeof(fer_value_id));
    reverse r = {.graph = graph,
                 .node = graph->nodes[index],
                 .value_count = count,
                 .now = feri_alloc(env, bytes),
                 .gradient = feri_alloc(env, bytes),
                 .depends = feri_alloc(env, count)};
    fer_status status = r.now && r.gradient && r.depends ? FER_OK : feri_error_status();
    for (uint32_t v = 0; status == FER_OK && v < count; v++) {
        r.now[v] = v;
        r.gradient[v] = FER_NO_VALUE;
    }
    status = status ? status : take_apart(&r);
    feri_free(env, r.now, bytes);
    feri_free(env, r.gradient, bytes);
    feri_free(env, r.depends, count);
    graph->nodes[index]->is_dead = 1;
    return status;
}

fer_status feri_graph_differentiate(fer_graph *graph) {
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const feri_gnode *node = graph->nodes[n];
        if (node->is_dead || strcmp(feri_op_name(node->op), "Gradient") != 0 ||
            strcmp(feri_op_domain(node->op), "ai.onnx.preview.training") != 0) {
            continue;
        }
        FER_TRY(differentiate_node(graph, n));
        feri_graph_compact(graph);
        FER_TRY(feri_graph_sort(graph));
        n = UINT32_MAX; /* from the start: nodes moved */
    }
    return FER_OK;
}
