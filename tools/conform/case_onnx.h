/* SPDX-License-Identifier: Apache-2.0
 *
 * ONNX messages as a case's make hook writes them: what the builder cannot say (values that are no
 * tensors, bodies that capture) is imported. The bytes live in the trial's memory.
 */
#ifndef FERRULE_CONFORM_CASE_ONNX_H
#define FERRULE_CONFORM_CASE_ONNX_H

#include "case.h"

typedef struct message {
    const trial *of;
    unsigned char *data;
    size_t length, capacity;
} message;

enum { GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };

/* A value of a graph: kind is FER_KIND_..., dtype that of its tensors. OPTIONAL + SEQUENCE is an
 * optional of a sequence; a map's keys are i64 or, with key, strings. rank -1: no shape. */
typedef struct onnx_value {
    const char *name;
    int32_t kind;
    int32_t of_sequence;
    fer_dtype key;
    fer_dtype dtype;
    int32_t rank;
    const int64_t *dims;
} onnx_value;
void onnx_add_value(message *graph, uint32_t field, const onnx_value *value);

/* A node; inputs and outputs are names apart by blanks, "-" for one left out. attrs may be NULL. */
void onnx_add_node(message *graph,
                   const char *domain,
                   const char *op,
                   const char *inputs,
                   const char *outputs,
                   const message *attrs);
void onnx_attr_int(message *attrs, const char *name, int64_t value);
void onnx_attr_ints(message *attrs, const char *name, const int64_t *list, uint32_t count);
void onnx_attr_string(message *attrs, const char *name, const char *text);
/* list as in a case's text: "a:b" */
void onnx_attr_strings(message *attrs, const char *name, const char *list);
/* A sparse tensor: so many values, whose indices are flat or one row of rank numbers each. */
typedef struct onnx_sparse {
    fer_dtype dtype;
    const void *values;
    size_t bytes;
    int64_t count;
    const int64_t *indices;
    int32_t are_flat;
    uint32_t rank;
    const int64_t *dims;
} onnx_sparse;
void onnx_attr_sparse(message *attrs, const char *name, const onnx_sparse *sparse);
/* a type; value's name is nothing */
void onnx_attr_type(message *attrs, const char *name, const onnx_value *value);
void onnx_attr_graph(message *attrs, const char *name, const message *graph);
/* A node Constant with a scalar or vector of i64 (rank 0 or 1). */
void onnx_add_ints(
    message *graph, const char *name, const int64_t *list, int32_t rank, uint32_t count);

/* The finished graph as a model, imported. */
fer_status onnx_import(const message *graph, fer_context *context, fer_graph **out_graph);

#endif
