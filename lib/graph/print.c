/* SPDX-License-Identifier: Apache-2.0
 *
 * A graph as text: inputs, one node a line with dtypes and shapes, bodies indented below their
 * node, outputs. For people and tests; nothing parses it back.
 *
 *     %input: f32[batch, 3]
 *     %conv1: f32[batch, 8] = Conv(%input, %w: f32[8, 3]) {group=1}   "features/conv1"
 */
#include "base/error.h"
#include "graph/graph.h"

#include <string.h>

#define SHOWN_ELEMENTS 8

/* Texts are flushed line by line, so that printing takes no memory that grows with the graph. */
typedef struct printer {
    feri_text line;
    fer_text_fn write;
    void *self;
    int stopped;
} printer;

static void end_line(printer *out) {
    feri_text_add(&out->line, "\n");
    if (out->line.status == FER_OK && !out->stopped && out->line.length > 0) {
        out->stopped = out->write(out->self, out->line.data, out->line.length) != 0;
    }
    out->line.length = 0;
}

static void print_dims(printer *out, const feri_terms *terms, const feri_fact *fact) {
    if (fact->rank < 0) {
        feri_text_add(&out->line, "[...]");
        return;
    }
    feri_text_add(&out->line, "[");
    for (int32_t d = 0; d < fact->rank; d++) {
        char text[128];
        feri_sym_print(terms, fact->dims[d], text, sizeof(text));
        feri_text_add(&out->line, "%s%s", d > 0 ? ", " : "", text);
    }
    feri_text_add(&out->line, "]");
}

static void print_type(printer *out, const feri_terms *terms, const feri_fact *fact) {
    static const char *const kinds[] = {"", "", "seq ", "opt "};
    int32_t kind = fact->kind >= 0 && fact->kind <= FER_KIND_OPTIONAL ? fact->kind : 0;
    feri_text_add(&out->line,
                  ": %s%s",
                  kinds[kind],
                  fact->dtype != FER_DTYPE_NONE ? fer_dtype_name(fact->dtype) : "?");
    print_dims(out, terms, fact);
}

/* A value, with its type unless it is a use of what another line tells. */
static void print_value(printer *out, const fer_graph *graph, fer_value_id id, int with_type) {
    if (id == FER_NO_VALUE) {
        feri_text_add(&out->line, "_");
        return;
    }
    const feri_gvalue *value = &graph->values[id];
    if (value->name[0] != '\0') {
        feri_text_add(&out->line, "%%%s", value->name);
    } else {
        feri_text_add(&out->line, "%%%u", id);
    }
    if (with_type) {
        print_type(out, graph->terms, &value->fact);
    }
}

static void print_string(printer *out, const fer_string *string) {
    feri_text_add(&out->line, "'");
    uint64_t shown = string->length < 64 ? string->length : 64;
    for (uint64_t c = 0; c < shown; c++) {
        unsigned char byte = (unsigned char)string->data[c];
        if (byte >= 0x20 && byte != 0x7f && byte != '\'') {
            feri_text_add_bytes(&out->line, &string->data[c], 1);
        } else {
            feri_text_add(&out->line, "\\x%02x", byte);
        }
    }
    feri_text_add(&out->line, shown < string->length ? "'..." : "'");
}

static void print_tensor(printer *out, const fer_tensor *tensor) {
    feri_text_add(&out->line, "%s[", fer_dtype_name(tensor->dtype));
    for (uint32_t d = 0; d < tensor->rank; d++) {
        feri_text_add(&out->line, "%s%lld", d > 0 ? ", " : "", (long long)tensor->dims[d]);
    }
    feri_text_add(&out->line, "]");
}

static void print_entry(printer *out, const fer_attr *attr, const void *entries, uint32_t index) {
    switch (feri_attr_entry(attr)) {
    case FERI_ENTRY_INT:
        feri_text_add(&out->line, "%lld", (long long)((const int64_t *)entries)[index]);
        break;
    case FERI_ENTRY_FLOAT:
        feri_text_add_number(&out->line, (double)((const float *)entries)[index], 9);
        break;
    case FERI_ENTRY_STRING:
        print_string(out, (const fer_string *)entries + index);
        break;
    default:
        if (attr->type == FER_ATTR_TENSOR) {
            print_tensor(out, attr->value.tensor);
        } else {
            feri_text_add(&out->line, "graph %u", attr->value.graph);
        }
    }
}

static void print_attr(printer *out, const fer_attr *attr) {
    uint32_t count;
    const void *entries = feri_attr_entries(attr, &count);
    int is_list = entries != &attr->value;
    feri_text_add(&out->line, is_list ? "%s=[" : "%s=", attr->name);
    for (uint32_t i = 0; i < count && i < SHOWN_ELEMENTS; i++) {
        if (i > 0) {
            feri_text_add(&out->line, ", ");
        }
        print_entry(out, attr, entries, i);
    }
    if (is_list) {
        feri_text_add(&out->line, count > SHOWN_ELEMENTS ? ", ...]" : "]");
    }
}

static void print_graph(printer *out, const fer_graph *graph);

static void indent(printer *out, const fer_graph *graph) {
    for (uint32_t d = 0; d < graph->depth; d++) {
        feri_text_add(&out->line, "    ");
    }
}

static void print_node(printer *out, const fer_graph *graph, const feri_gnode *node) {
    indent(out, graph);
    for (uint32_t o = 0; o < node->output_count; o++) {
        feri_text_add(&out->line, "%s", o > 0 ? ", " : "");
        print_value(out, graph, node->outputs[o], /*with_type=*/1);
    }
    const char *domain = feri_op_domain(node->op);
    feri_text_add(
        &out->line, " = %s%s%s(", domain, domain[0] != '\0' ? "." : "", feri_op_name(node->op));
    for (uint32_t i = 0; i < node->input_count; i++) {
        feri_text_add(&out->line, i == 0 ? "" : i == node->formal_count ? "; " : ", ");
        fer_value_id id = node->inputs[i];
        print_value(
            out, graph, id, id != FER_NO_VALUE && graph->values[id].origin == FERI_ORIGIN_CONSTANT);
    }
    feri_text_add(&out->line, ")");
    for (uint32_t a = 0; a < node->attr_count; a++) {
        feri_text_add(&out->line, a == 0 ? " {" : ", ");
        print_attr(out, &node->attrs[a]);
    }
    feri_text_add(&out->line, "%s   \"%s\"", node->attr_count > 0 ? "}" : "", node->name);
    end_line(out);
    for (uint32_t b = 0; b < node->body_count && !out->stopped; b++) {
        indent(out, graph);
        feri_text_add(&out->line, "  graph %u:", b);
        end_line(out);
        print_graph(out, node->bodies[b]);
    }
}

static void print_line(printer *out, const fer_graph *graph, const char *word, fer_value_id id) {
    indent(out, graph);
    feri_text_add(&out->line, "%s ", word);
    print_value(out, graph, id, /*with_type=*/1);
}

static void print_graph(printer *out, const fer_graph *graph) {
    uint32_t formals = graph->input_count - graph->capture_count;
    for (uint32_t i = 0; i < graph->input_count && !out->stopped; i++) {
        print_line(out, graph, i < formals ? "input" : "capture", graph->inputs[i]);
        end_line(out);
    }
    for (uint32_t v = 0; v < graph->value_count && !out->stopped; v++) {
        const feri_gvalue *value = &graph->values[v];
        if (value->origin != FERI_ORIGIN_VARIABLE) {
            continue;
        }
        print_line(out, graph, "variable", v);
        if (value->assigned != FER_NO_VALUE) {
            feri_text_add(&out->line, " becomes ");
            print_value(out, graph, value->assigned, /*with_type=*/0);
        }
        end_line(out);
    }
    for (uint32_t n = 0; n < graph->node_count && !out->stopped; n++) {
        if (!graph->nodes[n]->is_dead) {
            print_node(out, graph, graph->nodes[n]);
        }
    }
    for (uint32_t o = 0; o < graph->output_count && !out->stopped; o++) {
        print_line(out, graph, "output", graph->outputs[o]);
        if (strcmp(graph->output_names[o], graph->values[graph->outputs[o]].name) != 0) {
            feri_text_add(&out->line, " as %s", graph->output_names[o]);
        }
        end_line(out);
    }
}

fer_status fer_graph_print(const fer_graph *graph, fer_text_fn write, void *write_self) {
    if (graph == NULL || write == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "fer_graph_print: an argument is NULL");
    }
    printer out = {.write = write, .self = write_self};
    feri_text_init(&out.line, graph->env);
    print_graph(&out, graph);
    fer_status status = out.line.status;
    feri_text_finish(&out.line);
    return status;
}
