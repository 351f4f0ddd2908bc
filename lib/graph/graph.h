/* SPDX-License-Identifier: Apache-2.0
 *
 * The graph: values and nodes, made by import/ or the public builder, rewritten by passes/ and
 * specialize/. Nodes are kept in topological order. Bodies of If, Loop and Scan are graphs of their
 * own inside their node; what a body uses from outside is an explicit input of it, so a graph never
 * refers to another graph's values.
 */
#ifndef FERI_GRAPH_GRAPH_H
#define FERI_GRAPH_GRAPH_H

#include "base/bump.h"
#include "base/text.h"
#include "op/op.h"
#include "tensor/tensor.h"

enum {
    FERI_ORIGIN_NONE,
    FERI_ORIGIN_INPUT,
    FERI_ORIGIN_CONSTANT,
    FERI_ORIGIN_VARIABLE,
    FERI_ORIGIN_NODE,
    FERI_ORIGIN_SHAPE /* specialize/: elements are terms that the host computes before each run */
};

typedef struct feri_gvalue {
    const char *name;      /* never NULL; unique among named values, "" for made ones */
    feri_fact fact;        /* dims and elements live in the graph's bump */
    fer_tensor *constant;  /* CONSTANT: contents; VARIABLE: initial value. Retained */
    fer_value_id assigned; /* VARIABLE: value it becomes at the end, FER_NO_VALUE none */
    uint8_t origin;        /* FERI_ORIGIN_... */
    uint8_t is_output;
    uint32_t producer;  /* NODE: index into nodes. Kept by feri_graph_reindex */
    uint32_t use_count; /* by nodes and graph outputs. Kept by feri_graph_reindex */
} feri_gvalue;

/* Inputs are formal_count operands of the op, then what the bodies capture. */
typedef struct feri_gnode {
    const feri_op *op;
    const char
        *name; /* source name: the model's node name, or "Conv_17" made from op and position */
    uint32_t source; /* number of the source node in the model; nodes made from it keep it */
    uint32_t revision;
    uint32_t input_count;
    uint32_t formal_count;
    uint32_t output_count;
    uint32_t attr_count;
    uint32_t body_count;
    uint8_t is_dead;       /* passes mark, feri_graph_compact removes */
    uint8_t host_only;     /* specialise: the host runs it */
    fer_value_id *inputs;  /* FER_NO_VALUE where left out */
    fer_value_id *outputs; /* FER_NO_VALUE where nobody wants it */
    fer_attr *attrs; /* sorted by name; strings and arrays in the bump; tensors retained by the
                        graph; FER_ATTR_GRAPH holds an index into bodies */
    fer_graph **bodies;
} feri_gnode;

/* A graph as a body: inputs are the formal ones, then one per capture. */
struct fer_graph {
    atomic_uint refs; /* root graphs only */
    feri_env *env;    /* retained by the root */
    feri_bump bump;
    feri_terms *terms; /* owned by the root, shared by bodies */
    fer_graph *parent; /* NULL: root */
    fer_graph *root;   /* itself for the root */
    const char *name;
    uint32_t depth; /* 0 root; at most limits.max_nesting, so recursion over bodies is bounded */
    uint8_t is_finished;
    feri_gvalue *values;
    uint32_t value_count, value_capacity;
    feri_gnode **nodes;
    uint32_t node_count, node_capacity;
    fer_value_id *inputs;
    uint32_t input_count, input_capacity;
    fer_value_id *outputs;
    uint32_t output_count, output_capacity;
    const char **output_names; /* output_count */
    uint32_t output_names_capacity;
    uint32_t capture_count, capture_capacity; /* the last capture_count inputs are captures */
    uint32_t *captures; /* capture i comes from the owning node's inputs[captures[i]] */
    feri_fact
        *declared; /* root: output_count facts that the model declares, or NULL; a hint only */
    uint32_t source_count; /* source nodes numbered so far (root) */
    fer_tensor **held;     /* tensors of attributes */
    uint32_t held_count, held_capacity;
    uint64_t total_nodes; /* root: of itself and all bodies, against the limit */
    fer_tensor *file;     /* root: keeps the model's bytes alive, or NULL */
    feri_name_map names;  /* builder: names of values, keys in the bump */
    fer_value_info
        *public_info; /* root: of inputs, then of outputs: what feri_graph_describe made */
};

/* LIMIT when depth is beyond max_nesting, or what a thread's stack bears; what: "graphs are". */
fer_status feri_check_nesting(const feri_env *env, uint32_t depth, const char *what);
/* A body (parent not NULL) belongs to its maker until it is part of a node that was appended. LIMIT
 * when it would be nested deeper than limits.max_nesting. */
fer_status feri_graph_create(feri_env *env, fer_graph *parent, fer_graph **out_graph);
void feri_graph_destroy(fer_graph *graph); /* with all its bodies; root: drops the env */

/* How many of count operands or results there are without those left out at the end. */
uint32_t feri_without_tail(const fer_value_id *ids, uint32_t count);
/* New values. name is copied ("" or NULL: unnamed). */
fer_status
feri_graph_new_value(fer_graph *graph, const char *name, uint8_t origin, fer_value_id *out_value);
fer_status feri_graph_new_input(fer_graph *graph, const char *name, fer_value_id *out_value);
/* Retains tensor; the fact is filled from it. */
fer_status feri_graph_new_constant(fer_graph *graph,
                                   const char *name,
                                   fer_tensor *tensor,
                                   fer_value_id *out_value);
/* A Constant's value from its attribute (not sparse); bump holds strings for a while. */
fer_status feri_constant_of_attr(feri_env *env,
                                 feri_bump *bump,
                                 const fer_attr *attr,
                                 fer_tensor **out_tensor);
fer_status
feri_graph_add_constant_node(fer_graph *graph, const fer_node_desc *desc, fer_value_id *out_value);
/* A body input that captures: its owner's inputs[owner_input] feeds it. */
fer_status feri_graph_new_capture(fer_graph *body,
                                  const char *name,
                                  uint32_t owner_input,
                                  fer_value_id *out_value);
/* The same, or a variable, whose initial value tensor is. */
fer_status feri_graph_new_held(fer_graph *graph,
                               const char *name,
                               fer_tensor *tensor,
                               uint8_t origin,
                               fer_value_id *out_value);
/* Retains tensor, an attribute's, as long as the graph lives. */
fer_status feri_graph_hold_tensor(fer_graph *graph, fer_tensor *tensor);
/* value, whatever it was, holds tensor, which is retained and tells its fact: a constant or the
 * initial value of a variable. The caller marks a node that made it dead. */
fer_status feri_graph_hold(fer_graph *graph, fer_value_id id, fer_tensor *tensor, uint8_t origin);
/* What inference, expansion and estimates of work see of a node. facts has room for its inputs and
 * outputs, and gets the facts of their values, NULL where one is left out. bump: for what the call
 * makes. */
feri_infer
feri_node_call(const fer_graph *graph, const feri_gnode *node, feri_fact **facts, feri_bump *bump);
/* INVALID_ARGUMENT where a caller's attribute of call's node has no name, type or contents. */
fer_status feri_graph_check_attr(const fer_attr *attr, const char *call, const char *name);
/* A node appended at the end with copies of the arrays in template (name, op, source, revision,
 * counts, inputs, outputs, attrs, bodies). Attribute tensors are retained; bodies become the
 * node's, on success only. LIMIT when max_nodes is reached. */
fer_status
feri_graph_append_node(fer_graph *graph, const feri_gnode *template_node, feri_gnode **out_node);
fer_status feri_graph_append_output(fer_graph *graph, const char *name, fer_value_id value);

/* Rewriting. Every use (nodes' inputs, graph outputs, assignments of variables) of v becomes to[v];
 * one walk over the graph; chains (to[to[v]]) are followed and shortened. to has value_count
 * entries, to[v] == v where nothing changes. Compact or reindex afterwards. */
void feri_graph_replace_many(fer_graph *graph, fer_value_id *to);
/* Drops dead nodes (and their bodies) and recomputes producer and use_count. */
void feri_graph_compact(fer_graph *graph);
void feri_graph_reindex(fer_graph *graph);
/* Puts nodes in topological order, keeping the present order where it can; INVALID_MODEL naming a
 * node on a cycle. Reindexes first and afterwards. O(nodes + uses). */
fer_status feri_graph_sort(fer_graph *graph);

enum {
    FERI_CONTROL_NONE,
    FERI_CONTROL_IF,
    FERI_CONTROL_LOOP,
    FERI_CONTROL_SCAN,
    FERI_CONTROL_SEQUENCE_MAP
};
int32_t feri_control_kind(const feri_op *op);
void feri_node_drop_bodies(feri_gnode *node);
/* The body that a graph attribute names; NULL when there is none. */
fer_graph *feri_node_body(const feri_gnode *node, const char *attr);

/* Structure, ids, attributes, bodies: after FER_OK, and inference, which checks nodes against their
 * rows, later stages cannot read out of bounds. */
fer_status feri_graph_verify(const fer_graph *graph);

/* (Re)makes what fer_graph_input and fer_graph_output tell, from the facts of now (output facts
 * that are unknown: as declared). Before the graph is shared between threads. */
fer_status feri_graph_describe(fer_graph *graph);

/* A copy of a finished root as a body of parent; its symbols are joined by name. */
fer_status feri_graph_adopt(fer_graph *parent, const fer_graph *source, fer_graph **out_body);

/* That the bodies of a control op are there and have the inputs and outputs it needs; part of
 * verify, and needed by itself where a node is inferred before its graph is verified. */
fer_status feri_graph_check_control(const feri_gnode *node);

/* A deep copy as a new root, also of a body (captures become inputs). Terms are copied, tensors
 * retained. Not finished: the copy may be rewritten. */
fer_status feri_graph_clone(const fer_graph *graph, fer_graph **out_graph);

/* Facts for every value, bodies included, in place; one walk in order. Control ops: If merges its
 * branches (or takes the one a known condition picks), Loop and Scan infer their bodies with what
 * is invariant. (graph/infer_graph.c) */
fer_status feri_graph_infer(fer_graph *graph);
/* The same, but nodes of ops that are not yet supported leave their outputs unknown instead of
 * failing: for import, where the file is judged and not the library. */
fer_status feri_graph_infer_known(fer_graph *graph);
/* The evaluator on one node of a graph, filling the facts of its outputs; bodies included. */
fer_status feri_graph_infer_node(fer_graph *graph, const feri_gnode *node);
fer_status feri_graph_infer_node_known(fer_graph *graph, const feri_gnode *node);
/* Only what the op's row says: operands are checked, outputs get kind and dtype. */
fer_status feri_graph_infer_node_types(fer_graph *graph, const feri_gnode *node);

/* Replaces a node by its op's expansion, whose nodes keep name and source; UNSUPPORTED when it has
 * none or a context it needs is unknown. The new nodes stand at the end and the old one is marked
 * dead: call feri_graph_sort afterwards, once for many (graph/expand.c). On failure the graph is as
 * before. */
fer_status feri_graph_expand_node(fer_graph *graph, uint32_t node_index);

#endif
