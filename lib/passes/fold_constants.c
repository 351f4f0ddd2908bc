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
    fer_tensor **inputs; /* tensors of a node: inputs, then outputs; behind them its facts */
    uint32_t capacity;   /* of each of the two */
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

/* Elements of a fact; UINT64_MAX when that is not known, or not a number of tensors. */
static uint64_t count_of(const feri_fact *fact) {
    uint64_t count = 1;
    if (!feri_fact_is_concrete(fact) || fact->dtype == FER_STRING) {
        return UINT64_MAX;
    }
    for (int32_t i = 0; i < fact->rank; i++) {
        int64_t dim = fact->dims[i].number;
        if (dim < 0) {
            return UINT64_MAX;
        }
        count = feri_mul_sat(count, (uint64_t)dim);
    }
    return count;
}

static int is_known(const feri_fact *fact) {
    if (!fact->elements || count_of(fact) != fact->element_count ||
        feri_dtype_class(fact->dtype) == FERI_CLASS_COMPLEX) {
        return 0;
    }
    for (uint32_t i = 0; i < fact->element_count; i++) {
        if (!feri_sym_is_number(fact->elements[i])) {
            return 0;
        }
    }
    return 1;
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
static fer_status make_known(fold *job, const feri_gnode *node, fer_tensor **outputs) {
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (is_wanted(job->graph, node->outputs[o])) {
            const feri_fact *fact = &job->graph->values[node->outputs[o]].fact;
            FER_TRY(tensor_of_elements(job->graph->env, fact, &outputs[o]));
        }
    }
    return FER_OK;
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
        uint64_t count = count_of(fact);
        if (count == UINT64_MAX) {
            return count;
        }
        total = feri_add_sat(total, feri_dtype_bytes(fact->dtype, count));
    }
    return total;
}

static double work_of(const fold *job, const feri_gnode *node) {
    feri_fact **facts = (feri_fact **)(void *)(job->inputs + job->capacity);
    const feri_infer call = feri_node_call(job->graph, node, facts, &job->graph->bump);
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

static fer_status evaluate(fold *job, const feri_gnode *node, fer_tensor **outputs) {
    uint64_t freed = 0;
    uint64_t input_bytes = 0;
    if (!job->env->evaluate || !inputs_are_constant(job, node, &freed, &input_bytes)) {
        return FER_UNSUPPORTED;
    }
    uint64_t bytes = expected_bytes(job->graph, node);
    double work = work_of(job, node);
    if ((bytes == UINT64_MAX ? input_bytes > MAX_UNKNOWN_INPUT
                             : bytes > feri_add_sat(freed, MAX_GROWTH)) ||
        !(work <= MAX_NODE_WORK) || !(job->env->folded_work + work <= MAX_TOTAL_WORK)) {
        return FER_UNSUPPORTED;
    }
    FER_TRY(feri_deadline_check(job->env->deadline_at, "constants were folded"));
    job->env->folded_work += work;
    FER_TRY(job->env->evaluate(job->env->self, node, job->inputs, outputs));
    return is_acceptable(job, node, outputs, freed) ? FER_OK : FER_UNSUPPORTED;
}

static fer_status fold_node(fold *job, feri_gnode *node) {
    const uint32_t never = FERI_OP_CONTROL | FERI_OP_HOST | FERI_OP_RANDOM;
    uint32_t wanted = 0;
    uint32_t known = 0;
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (is_wanted(job->graph, node->outputs[o])) {
            wanted++;
            known += (uint32_t)is_known(&job->graph->values[node->outputs[o]].fact);
        }
    }
    if (wanted == 0 || node->is_dead || node->body_count || (node->op->flags & never) ||
        node->input_count == 0 || /* to evaluate it is to compile it, and to come here again */
        node->op->number == FER_OP_DequantizeLinear ||
        node->op->number == FER_OP_Dropout) { /* random when it trains */
        return FER_OK;
    }
    FER_TRY(feri_grow(job->graph->env,
                      &job->inputs,
                      &job->capacity,
                      node->input_count + node->output_count,
                      2 * sizeof *job->inputs));
    fer_tensor **outputs = job->inputs + node->input_count;
    memset(outputs, 0, node->output_count * sizeof *outputs);
    fer_status status =
        known == wanted ? make_known(job, node, outputs) : evaluate(job, node, outputs);
    status = take_place(job, node, outputs, status);
    return is_refusal(status) ? FER_OK : status;
}

fer_status feri_pass_fold_constants(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    fold job = {.graph = graph, .env = env};
    feri_graph_reindex(graph);
    fer_status status = FER_OK;
    for (uint32_t n = 0; n < graph->node_count && status == FER_OK; n++) {
        status = fold_node(&job, graph->nodes[n]);
    }
    feri_free(graph->env, job.inputs, (uint64_t)job.capacity * 2 * sizeof *job.inputs);
    if (job.changes) {
        feri_graph_compact(graph);
    }
    *out_changes = job.changes;
    return status;
}
