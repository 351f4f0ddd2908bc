/* SPDX-License-Identifier: Apache-2.0
 *
 * BatchNormalization after Conv, ConvTranspose or Gemm with constant weights: with
 * s = scale / sqrt(var + epsilon), the weights of output channel c are multiplied by s[c] and the
 * bias becomes (bias - mean) * s + shift. Computed in f64 from the raw constants and rounded once.
 * Left alone where the product is used elsewhere, weights are shared, or a result is not finite.
 */
#include "base/error.h"
#include "ferrule/op_numbers.h"
#include "passes/edit.h"
#include "passes/pass.h"
#include "tensor/dtype.h"

#include <math.h>
#include <string.h>

/* One pair that can be folded. Weights are [outer, middle, inner] in memory: channels first (Conv,
 * transposed Gemm) [1, M, ...], else [C, M/g, ...], where the group is found from outer. */
typedef struct pair {
    fer_graph *graph;
    feri_gnode *product;
    feri_gnode *norm;
    const fer_tensor *weight;
    const fer_tensor *bias;     /* or NULL */
    const fer_tensor *stats[5]; /* 1 scale, 2 shift, 3 mean, 4 variance */
    uint64_t channels;
    uint64_t outer;
    uint64_t middle; /* channels per step of outer: channels / groups */
    uint64_t inner;
    uint64_t outer_per_group;
    double epsilon;
} pair;

static int is_float(const fer_tensor *tensor) {
    fer_dtype dtype = tensor ? tensor->dtype : FER_DTYPE_NONE;
    return dtype == FER_F32 || dtype == FER_F64 || dtype == FER_F16 || dtype == FER_BF16;
}

static double number_at(const fer_tensor *tensor, uint64_t index) {
    return feri_load_f64(tensor->dtype, fer_tensor_data((fer_tensor *)(uintptr_t)tensor), index);
}

static int64_t int_attr(const feri_gnode *node, const char *name, int64_t absent) {
    return feri_attr_int(node->attrs, node->attr_count, name, absent);
}

/* ---- may it be folded? ---- */

static int norm_is_plain(pair *p) {
    const fer_graph *graph = p->graph;
    const feri_gnode *norm = p->norm;
    if (norm->input_count < 5 || norm->outputs[0] == FER_NO_VALUE ||
        int_attr(norm, "training_mode", 0) != 0) {
        return 0;
    }
    for (uint32_t o = 1; o < norm->output_count; o++) {
        if (norm->outputs[o] != FER_NO_VALUE && graph->values[norm->outputs[o]].use_count) {
            return 0;
        }
    }
    return 1;
}

/* The node whose only reader is norm, of an op that can take it. */
static int find_product(pair *p, uint32_t before) {
    const feri_gvalue *value = &p->graph->values[p->norm->inputs[0]];
    if (value->origin != FERI_ORIGIN_NODE || value->use_count != 1 || value->producer >= before) {
        return 0;
    }
    p->product = p->graph->nodes[value->producer];
    uint16_t op = p->product->op->number;
    return !p->product->is_dead && p->product->output_count == 1 &&
           (op == FER_OP_Conv || op == FER_OP_ConvTranspose || op == FER_OP_Gemm);
}

/* The weight is the product's alone. */
static int shape_weight(pair *p) {
    const feri_gnode *node = p->product;
    int is_gemm = node->op->number == FER_OP_Gemm;
    p->weight = feri_node_constant(p->graph, node, 1);
    if (!is_float(p->weight) || p->graph->values[node->inputs[1]].use_count != 1) {
        return 0;
    }
    uint32_t rank = p->weight->rank;
    const int64_t *dims = p->weight->dims;
    uint64_t count = p->weight->element_count;
    if (count == 0 ||
        (is_gemm ? rank != 2 || feri_attr_float(node->attrs, node->attr_count, "beta", 1) != 1
                 : rank < 3)) {
        return 0;
    }
    int64_t groups = node->op->number == FER_OP_ConvTranspose ? int_attr(node, "group", 1) : 1;
    int first = node->op->number == FER_OP_Conv || (is_gemm && int_attr(node, "transB", 0) != 0);
    p->outer = first ? 1 : (uint64_t)dims[0];
    p->middle = (uint64_t)dims[!first];
    p->inner = count / p->outer / p->middle;
    if (groups < 1 || p->outer % (uint64_t)groups) {
        return 0;
    }
    p->outer_per_group = p->outer / (uint64_t)groups;
    p->channels = feri_mul_sat(p->middle, (uint64_t)groups);
    return 1;
}

/* Statistics, which are constant, and bias, if there is one, have one number a channel: for the
 * bias one row, [N] or [1, N]; every other shape of Gemm's C is left alone. */
static int counts_fit(pair *p) {
    for (uint32_t i = 1; i < 5; i++) {
        p->stats[i] = feri_node_constant(p->graph, p->norm, i);
        if (!is_float(p->stats[i]) || p->stats[i]->element_count != p->channels) {
            return 0;
        }
    }
    p->bias = feri_node_constant(p->graph, p->product, 2);
    if (!p->bias) {
        return p->product->input_count < 3 || p->product->inputs[2] == FER_NO_VALUE;
    }
    uint32_t rank = p->bias->rank;
    return p->bias->dtype == p->weight->dtype && rank >= 1 &&
           p->bias->element_count == p->channels &&
           (uint64_t)p->bias->dims[rank - 1] == p->channels;
}

/* ---- the numbers ---- */

static double scale_of(const pair *p, uint64_t channel) {
    return number_at(p->stats[1], channel) / sqrt(number_at(p->stats[4], channel) + p->epsilon);
}

/* Rounded to the tensor's dtype; 0 when that overflows, or the number was not finite. */
static int store(fer_tensor *tensor, uint64_t index, double value) {
    feri_store_run_f64(tensor->dtype, fer_tensor_data(tensor), index, 1, &value, 0);
    return isfinite(number_at(tensor, index)) != 0;
}

static int fill(const pair *p, fer_tensor *weight, fer_tensor *bias) {
    uint64_t index = 0;
    int is_finite = 1;
    for (uint64_t step = 0; step < p->outer * p->middle; step++) {
        uint64_t group = step / p->middle / p->outer_per_group;
        double scale = scale_of(p, group * p->middle + step % p->middle);
        for (uint64_t i = 0; i < p->inner; i++, index++) {
            is_finite &= store(weight, index, number_at(p->weight, index) * scale);
        }
    }
    for (uint64_t c = 0; c < p->channels; c++) {
        double old = (p->bias ? number_at(p->bias, c) : 0) - number_at(p->stats[3], c);
        is_finite &= store(bias, c, old * scale_of(p, c) + number_at(p->stats[2], c));
    }
    return is_finite;
}

/* ---- the graph ---- */

static fer_status rewire(pair *p, fer_tensor *weight, fer_tensor *bias) {
    fer_graph *graph = p->graph;
    feri_gnode *product = p->product;
    fer_value_id *inputs = FERI_BUMP_ARRAY(&graph->bump, fer_value_id, 3);
    if (!inputs) {
        return feri_error_status();
    }
    inputs[0] = product->inputs[0];
    FER_TRY(feri_graph_new_constant(graph, NULL, weight, &inputs[1]));
    FER_TRY(feri_graph_new_constant(graph, NULL, bias, &inputs[2]));
    product->inputs = inputs;
    product->input_count = product->formal_count = 3;
    product->outputs[0] = p->norm->outputs[0];
    graph->values[product->outputs[0]].producer = UINT32_MAX; /* until the next reindex */
    p->norm->is_dead = 1;
    return FER_OK;
}

static fer_status fold_pair(pair *p, uint32_t *changes) {
    fer_context *context = (fer_context *)(void *)p->graph->env;
    fer_dtype dtype = p->weight->dtype;
    fer_tensor *weight = NULL;
    fer_tensor *bias = NULL;
    const int64_t channels = (int64_t)p->channels;
    p->epsilon = (double)feri_attr_float(p->norm->attrs, p->norm->attr_count, "epsilon", 1e-5f);
    fer_status status =
        fer_tensor_create(context, dtype, p->weight->rank, p->weight->dims, &weight);
    if (status == FER_OK) {
        status = fer_tensor_create(context, dtype, 1, &channels, &bias);
    }
    if (status == FER_OK && fill(p, weight, bias)) {
        status = rewire(p, weight, bias);
        *changes += status == FER_OK;
    }
    fer_tensor_release(weight);
    fer_tensor_release(bias);
    return status;
}

fer_status feri_pass_fold_batch_norm(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    (void)env;
    fer_status status = FER_OK;
    *out_changes = 0;
    feri_graph_reindex(graph);
    for (uint32_t n = 0; n < graph->node_count && status == FER_OK; n++) {
        pair p = {.graph = graph, .norm = graph->nodes[n]};
        if (p.norm->op->number == FER_OP_BatchNormalization && !p.norm->is_dead &&
            norm_is_plain(&p) && find_product(&p, n) && shape_weight(&p) && counts_fit(&p)) {
            status = fold_pair(&p, out_changes);
        }
    }
    if (*out_changes) {
        feri_graph_compact(graph);
    }
    return status;
}
