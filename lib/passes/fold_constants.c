/* SPDX-License-Identifier: Apache-2.0
 *
 * Constant folding. Small results that the evaluator knows become constants whatever their inputs
 * are; other pure nodes on constants run once through env->evaluate. Refuses to make constants
 * larger by more than 64 KiB, to spend unbounded work, and to touch random, control and host ops
 * and DequantizeLinear, whose weight is better kept small.
 */
#include "base/error.h"
#include "ferrule/op_numbers.h"
#include "passes/edit.h"
#include "passes/pass.h"
#include "tensor/dtype.h"

#include <string.h>

enum { MAX_GROWTH = 64 << 10, MAX_TOTAL_GROWTH = 32 << 20, MAX_UNKNOWN_INPUT = 1024 };
/* Estimated operations of one node, and of all. */
#define MAX_NODE_WORK 3e8
#define MAX_TOTAL_WORK 2e9

typedef struct fold {
    fer_graph *graph;
    feri_pass_env *env;
    feri_fact **facts;   /* inputs, then outputs */
    fer_tensor **inputs; /* tensors, likewise */
    uint32_t capacity;   /* of both */
    uint32_t changes;
} fold;

static int is_wanted(const fer_graph *graph, fer_value_id id) {
    return id != FER_NO_VALUE && graph->values[id].use_count > 0;
}

/* A tensor of the fact's elements, all of which are numbers. */
static fer_status
tensor_of_elements(feri_env *env, const feri_fact *fact, fer_tensor **out_tensor) {
    int64_t dims[FER_MAX_RANK];
    for (int32_t i = 0; i < fact->rank; i++) {
        dims[i] = fact->dims[i].number;
    }
    fer_tensor *tensor = NULL;
    FER_TRY(fer_tensor_create(
        (fer_context *)(void *)env, fact->dtype, (uint32_t)fact->rank, dims, &tensor));
    void *data = fer_tensor_data(tensor);
    int is_float = feri_dtype_class(fact->dtype) == FERI_CLASS_FLOAT;
    for (uint32_t i = 0; i < fact->element_count; i++) {
        if (is_float) {
            double value = feri_sym_as_f64(fact->elements[i]);
            feri_store_run_f64(fact->dtype, data, i, 1, &value, /*saturate=*/0);
        } else {
            feri_store_run_i64(fact->dtype, data, i, 1, &fact->elements[i].number);
        }
    }
    *out_tensor = tensor;
    return FER_OK;
}

static int is_known(const feri_fact *fact) {
    int32_t class = feri_dtype_class(fact->dtype);
    if (!fact->elements || !feri_fact_is_concrete(fact) || class == FERI_CLASS_STRING ||
        class == FERI_CLASS_COMPLEX) {
        return 0;
    }
    uint64_t count = 1;
    for (int32_t i = 0; i < fact->rank; i++) {
        if (fact->dims[i].number < 0) {
            return 0;
        }
        count = feri_mul_sat(count, (uint64_t)fact->dims[i].number);
    }
    for (uint32_t i = 0; i < fact->element_count; i++) {
        if (!feri_sym_is_number(fact->elements[i])) {
            return 0;
        }
    }
    return count == fact->element_count;
}

static int outputs_are_known(const fer_graph *graph, const feri_gnode *node) {
    int is_any = 0;
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (is_wanted(graph, node->outputs[o])) {
            is_any = 1;
            if (!is_known(&graph->values[node->outputs[o]].fact)) {
                return 0;
            }
        }
    }
    return is_any;
}

/* tensors, which are released, take the place of the node's outputs unless status is a failure. */
static fer_status
take_place(fold *job, feri_gnode *node, fer_tensor *const *tensors, fer_status status) {
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (status == FER_OK && is_wanted(job->graph, node->outputs[o])) {
            status =
                feri_graph_hold(job->graph, node->outputs[o], tensors[o], FERI_ORIGIN_CONSTANT);
        }
        fer_tensor_release(tensors[o]);
    }
    if (status != FER_OK) {
        return status;
    }
    node->is_dead = 1;
    job->changes++;
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] != FER_NO_VALUE) {
            job->graph->values[node->inputs[i]].use_count--;
        }
    }
    return FER_OK;
}

/* All tensors are made before the first value changes: a failure leaves the node whole. */
static fer_status fold_known(fold *job, feri_gnode *node) {
    fer_tensor **tensors = job->inputs;
    fer_status status = FER_OK;
    memset(tensors, 0, node->output_count * sizeof *tensors);
    for (uint32_t o = 0; o < node->output_count && status == FER_OK; o++) {
        if (is_wanted(job->graph, node->outputs[o])) {
            status = tensor_of_elements(
                job->graph->env, &job->graph->values[node->outputs[o]].fact, &tensors[o]);
        }
    }
    return take_place(job, node, tensors, status);
}

/* ---- through the evaluator ---- */

/* Bytes of constants that the node's end would free, and of all its inputs; 0 when one is no
 * constant. */
static int inputs_are_constant(const fold *job,
                               const feri_gnode *node,
                               uint64_t *out_freed,
                               uint64_t *out_bytes) {
    *out_freed = 0;
    *out_bytes = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        job->inputs[i] = feri_node_constant(job->graph, node, i);
        if (node->inputs[i] == FER_NO_VALUE) {
            continue;
        }
        if (!job->inputs[i]) {
            return 0;
        }
        uint64_t bytes = job->inputs[i]->bytes;
        *out_bytes += bytes;
        if (job->graph->values[node->inputs[i]].use_count == 1) {
            *out_freed += bytes;
        }
    }
    return 1;
}

/* Bytes the outputs will have; UINT64_MAX when that is not known. */
static uint64_t expected_bytes(const fer_graph *graph, const feri_gnode *node) {
    uint64_t total = 0;
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (node->outputs[o] == FER_NO_VALUE) {
            continue;
        }
        const feri_fact *fact = &graph->values[node->outputs[o]].fact;
        if (!feri_fact_is_concrete(fact) || fact->dtype == FER_STRING) {
            return UINT64_MAX;
        }
        uint64_t count = 1;
        for (int32_t i = 0; i < fact->rank; i++) {
            count = feri_mul_sat(count, (uint64_t)fact->dims[i].number);
        }
        total = feri_add_sat(total, feri_dtype_bytes(fact->dtype, count));
    }
    return total;
}

static double work_of(const fold *job, const feri_gnode *node) {
    const feri_infer call = feri_node_call(job->graph, node, job->facts, &job->graph->bump);
    return feri_op_work(&call);
}

/* 1 when the outcome is worth having: all wanted outputs there, and not too large. */
static int
is_acceptable(const fold *job, const feri_gnode *node, fer_tensor *const *outputs, uint64_t freed) {
    uint64_t bytes = 0;
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (!is_wanted(job->graph, node->outputs[o])) {
            continue;
        }
        const feri_fact *fact = &job->graph->values[node->outputs[o]].fact;
        if (!outputs[o] || !fer_tensor_data(outputs[o]) ||
            (fact->dtype && fact->dtype != outputs[o]->dtype)) {
            return 0;
        }
        bytes = feri_add_sat(bytes, outputs[o]->bytes);
    }
    uint64_t growth = bytes > freed ? bytes - freed : 0;
    if (growth > MAX_GROWTH || growth > MAX_TOTAL_GROWTH - job->env->folded_growth) {
        return 0;
    }
    job->env->folded_growth += growth;
    return 1;
}

/* What says "not this node" rather than "stop": the node stays and fails, if it does, in its run.
 */
static int is_refusal(fer_status status) {
    return status == FER_UNSUPPORTED || status == FER_INVALID_MODEL ||
           status == FER_INVALID_INPUT || status == FER_LIMIT || status == FER_NO_DEVICE;
}

static fer_status fold_evaluated(fold *job, feri_gnode *node) {
    uint64_t freed = 0;
    uint64_t input_bytes = 0;
    if (!job->env->evaluate || !inputs_are_constant(job, node, &freed, &input_bytes)) {
        return FER_OK;
    }
    uint64_t bytes = expected_bytes(job->graph, node);
    if (bytes == UINT64_MAX ? input_bytes > MAX_UNKNOWN_INPUT
                            : bytes > feri_add_sat(freed, MAX_GROWTH)) {
        return FER_OK;
    }
    double work = work_of(job, node);
    if (!(work <= MAX_NODE_WORK) || !(job->env->folded_work + work <= MAX_TOTAL_WORK)) {
        return FER_OK;
    }
    job->env->folded_work += work;
    fer_tensor **outputs = job->inputs + node->input_count;
    memset(outputs, 0, node->output_count * sizeof *outputs);
    fer_status status = job->env->evaluate(job->env->self, node, job->inputs, outputs);
    if (status == FER_OK && !is_acceptable(job, node, outputs, freed)) {
        status = FER_UNSUPPORTED;
    }
    status = take_place(job, node, outputs, status);
    return is_refusal(status) ? FER_OK : status;
}

static fer_status fold_node(fold *job, feri_gnode *node) {
    const uint32_t never = FERI_OP_CONTROL | FERI_OP_HOST | FERI_OP_RANDOM;
    if (node->is_dead || node->body_count || (node->op->flags & never) ||
        node->input_count == 0 || /* to evaluate it is to compile it, and to come here again */
        node->op->number == FER_OP_DequantizeLinear ||
        node->op->number == FER_OP_Dropout) { /* random when it trains */
        return FER_OK;
    }
    if (outputs_are_known(job->graph, node)) {
        return fold_known(job, node);
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (is_wanted(job->graph, node->outputs[o])) {
            return fold_evaluated(job, node);
        }
    }
    return FER_OK;
}

fer_status feri_pass_fold_constants(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    fold job = {.graph = graph, .env = env};
    feri_graph_reindex(graph);
    for (uint32_t n = 0; n < graph->node_count; n++) {
        uint32_t operands = graph->nodes[n]->input_count + graph->nodes[n]->output_count;
        job.capacity = operands > job.capacity ? operands : job.capacity;
    }
    const uint64_t bytes = (uint64_t)job.capacity * sizeof(void *);
    fer_status status = FER_OK;
    job.facts = feri_alloc(graph->env, bytes);
    job.inputs = feri_alloc(graph->env, bytes);
    if (!job.facts || !job.inputs) {
        status = feri_error_status();
    }
    for (uint32_t n = 0; n < graph->node_count && status == FER_OK; n++) {
        status = fold_node(&job, graph->nodes[n]);
    }
    feri_free(graph->env, job.facts, bytes);
    feri_free(graph->env, job.inputs, bytes);
    if (job.changes) {
        feri_graph_compact(graph);
    }
    *out_changes = job.changes;
    return status;
}
