/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of one import and the pieces it is made of. A scope is a name space that fills a graph:
 * the main graph, a body, or one inlined call of a model-local function (which fills the graph of
 * its caller). A draft is a node on its way: read from the file, upgraded, then appended.
 *
 *     import.c    model, opsets, the public functions     import_graph.c  scopes and graphs
 *     import_node.c  nodes and constants                  import_attr.c   attributes and bodies
 *     function.c  model-local functions                   upgrade*.c      older opsets to the
 * newest
 *
 * All spans point into the model's bytes, which outlive the import.
 */
#ifndef FERI_IMPORT_IMPORTER_H
#define FERI_IMPORT_IMPORTER_H

#include "graph/graph.h"
#include "import/onnx_tensor.h"

typedef struct feri_opset {
    feri_message base; /* its name is the domain, "" for ai.onnx */
    int64_t version;
} feri_opset;

typedef struct feri_opsets {
    feri_opset *list;
    uint32_t count;
} feri_opsets;

/* What a node calls and a function is: an op of a domain. */
typedef struct feri_callee {
    feri_span domain;
    feri_span op;
    feri_span overload;
} feri_callee;

/* NodeProto. */
typedef struct feri_node_view {
    feri_message base;
    feri_spans inputs;
    feri_spans outputs;
    feri_spans attrs; /* AttributeProto */
    feri_callee callee;
    struct feri_function *function; /* the model-local one that it calls, NULL: none */
} feri_node_view;

/* FunctionProto. */
typedef struct feri_function {
    feri_message base;
    feri_spans inputs; /* names */
    feri_spans outputs;
    feri_spans nodes;
    feri_spans opset_imports;
    feri_spans defaults; /* AttributeProto */
    feri_callee callee;  /* its op is the function's name */
    feri_opsets opsets;
    uint64_t is_active; /* being inlined: meeting it again is recursion */
} feri_function;

typedef struct feri_importer {
    feri_env *env;
    feri_source *source;
    fer_graph *root;
    feri_bump *scratch; /* the source's */
    int64_t ir_version;
    fer_status status;  /* of feri_scope_resolve, which answers without one */
    feri_opsets opsets; /* the model's */
    feri_function *functions;
    uint32_t function_count;
    feri_name_map function_names; /* "domain\0name\0overload" */
    uint32_t nesting;             /* scopes around what is read now */
    int is_unordered;             /* a node came before one it needs */
    uint64_t call_count;          /* inlined so far, against limits.max_nodes */
} feri_importer;

typedef struct feri_scope feri_scope;
typedef struct feri_draft feri_draft;

/* One inlined call. */
typedef struct feri_frame {
    feri_function *function;
    feri_scope *caller;         /* attributes of the call are read there */
    const feri_node_view *call; /* the node that calls */
    const feri_draft *draft;    /* of it: nodes made from the call have its name and number */
} feri_frame;

struct feri_scope {
    feri_importer *im;
    feri_scope *outer; /* names around a body, NULL else */
    fer_graph *graph;
    feri_name_map names; /* name: value of graph, FER_NO_VALUE for an operand left out */
    const feri_opsets *opsets;
    const feri_frame *frame; /* NULL outside of functions */
    feri_name_map *results;  /* function: names of outputs: the values they become */
    feri_draft *owner;       /* body: the node it belongs to, which captures for it */
};

struct feri_draft {
    feri_gnode node; /* without op; bodies are the draft's until it is appended */
    const char *op;
    const char *domain;
    int64_t version; /* the opset whose meaning it has; grows while it is upgraded */
    uint32_t input_capacity;
    uint32_t output_capacity;
    uint32_t attr_capacity;
    uint32_t body_capacity;
    fer_value_id *captured; /* what bodies take from around, after the inputs */
    uint32_t captured_count, captured_capacity;
};

/* ---- import_graph.c ---- */

/* LIMIT when too deep in scopes; else feri_scope_finish has to follow. */
fer_status
feri_scope_init(feri_scope *scope, feri_importer *im, feri_scope *outer, fer_graph *graph);
void feri_scope_finish(feri_scope *scope);
/* The value a name stands for, captured from around if need be. "" is FER_NO_VALUE. The importer's
 * status tells whether it failed. */
enum { FERI_NAME_UNKNOWN = INT32_MAX }; /* beyond all values: nobody knows the name */
fer_value_id feri_scope_resolve(feri_scope *scope, const feri_span *name);
/* value, which is new unless this is inside a function, gets the name; inside it stays without. */
fer_status feri_scope_bind(feri_scope *scope, const feri_span *name, fer_value_id value);
/* A constant called name. tensor's reference is taken over, also on failure. */
fer_status feri_scope_constant(feri_scope *scope, const feri_span *name, fer_tensor *tensor);
/* A NUL-terminated copy; NULL when there is no memory. */
const char *feri_importer_text(feri_importer *im, const feri_span *span);
/* Fills scope->graph from a GraphProto. */
fer_status feri_import_graph(feri_scope *scope, const feri_span *message);

/* ---- import_type.c ---- */

/* ValueInfoProto: name and type. with_symbols: dims become the root's symbols, else they are
 * forgotten. */
fer_status feri_import_value_info(feri_importer *im,
                                  const feri_span *message,
                                  int with_symbols,
                                  feri_span *out_name,
                                  feri_fact *out_fact);
/* TypeProto: kind and dtype (and dims). */
fer_status feri_import_type(feri_importer *im,
                            const feri_span *message,
                            int with_symbols,
                            feri_fact *out_fact);

/* ---- import_node.c ---- */

/* The nodes of a graph or function: declares all outputs, then makes the nodes. */
fer_status feri_import_nodes(feri_scope *scope, const feri_spans *nodes);
/* Appends a draft whose op is of the newest opset, and infers its outputs (in bodies: kind and
 * dtype). */
fer_status feri_import_append(feri_importer *im, fer_graph *graph, feri_draft *draft);
fer_status feri_draft_add_input(feri_importer *im, feri_draft *draft, fer_value_id value);
fer_status feri_draft_add_output(feri_importer *im, feri_draft *draft, fer_value_id value);
fer_status feri_draft_add_attr(feri_importer *im, feri_draft *draft, const fer_attr *attr);

/* ---- import_attr.c ---- */

/* Adds the attribute of an AttributeProto (none when it refers to one that is absent). */
fer_status feri_import_attr(feri_scope *scope, feri_draft *draft, const feri_span *message);
/* The tensor of a Constant. */
fer_status
feri_import_constant(feri_scope *scope, const feri_node_view *node, fer_tensor **out_tensor);

/* ---- function.c ---- */

fer_status feri_import_functions(feri_importer *im, const feri_spans *messages);
/* Sets node's function. */
fer_status feri_find_function(feri_importer *im, feri_node_view *node);
/* node has one. */
fer_status
feri_inline_function(feri_scope *scope, const feri_node_view *node, const feri_draft *call);

/* ---- import.c ---- */

/* "ai.onnx" is "". */
void feri_domain_short(feri_span *domain);
fer_status
feri_import_opsets(feri_importer *im, const feri_spans *messages, feri_opsets *out_opsets);

/* ---- upgrade.c ---- */

/* Brings draft from draft->version to the newest opset and appends it to graph, with the nodes that
 * takes. */
fer_status feri_upgrade_and_append(feri_importer *im, fer_graph *graph, feri_draft *draft);

#endif
