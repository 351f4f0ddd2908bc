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
    const fer_graph *graph; /* that is printed now: a body, within its node */
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

/* Between the entries of a list. */
static void separate(printer *out, uint32_t index) {
    if (index > 0) {
        feri_text_add(&out->line, ", ");
    }
}

/* A value, with its type unless it is a use of what another line tells. */
static void print_value(printer *out, fer_value_id id, int with_type) {
    static const char kinds[][5] = {"", "", "seq ", "opt ", "map "};
    if (id == FER_NO_VALUE) {
        feri_text_add(&out->line, "_");
        return;
    }
    const feri_gvalue *value = &out->graph->values[id];
    const feri_fact *fact = &value->fact;
    if (value->name[0] != '\0') {
        feri_text_add(&out->line, "%%%s", value->name);
    } else {
        feri_text_add(&out->line, "%%%u", id);
    }
    if (!with_type) {
        return;
    }
    feri_text_add(&out->line,
                  ": %s%s[",
                  kinds[fact->kind >= 0 && fact->kind <= FER_KIND_MAP ? fact->kind : 0],
                  fact->dtype != FER_DTYPE_NONE ? fer_dtype_name(fact->dtype) : "?");
    for (int32_t d = 0; d < fact->rank; d++) {
        char text[128];
        feri_sym_print(out->graph->terms, fact->dims[d], text, sizeof(text));
        separate(out, (uint32_t)d);
        feri_text_add(&out->line, "%s", text);
    }
    feri_text_add(&out->line, fact->rank < 0 ? "...]" : "]");
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
        separate(out, d);
        feri_text_add(&out->line, "%lld", (long long)tensor->dims[d]);
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
        separate(out, i);
        print_entry(out, attr, entries, i);
    }
    if (is_list) {
        feri_text_add(&out->line, count > SHOWN_ELEMENTS ? ", ...]" : "]");
    }
}

static void print_graph(printer *out, const fer_graph *graph);

static void indent(printer *out) {
    for (uint32_t d = 0; d < out->graph->depth; d++) {
        feri_text_add(&out->line, "    ");
    }
}

static void print_node(printer *out, const feri_gnode *node) {
    const char *domain = feri_op_domain(node->op);
    indent(out);
    for (uint32_t o = 0; o < node->output_count; o++) {
        separate(out, o);
        print_value(out, node->outputs[o], /*with_type=*/1);
    }
    feri_text_add(
        &out->line, " = %s%s%s(", domain, domain[0] != '\0' ? "." : "", feri_op_name(node->op));
    for (uint32_t i = 0; i < node->input_count; i++) {
        fer_value_id id = node->inputs[i];
        if (i > 0 && i == node->formal_count) {
            feri_text_add(&out->line, "; ");
        } else {
            separate(out, i);
        }
        print_value(
            out, id, id != FER_NO_VALUE && out->graph->values[id].origin == FERI_ORIGIN_CONSTANT);
    }
    feri_text_add(&out->line, node->attr_count > 0 ? ") {" : ")");
    for (uint32_t a = 0; a < node->attr_count; a++) {
        separate(out, a);
        print_attr(out, &node->attrs[a]);
    }
    feri_text_add(&out->line, "%s   \"%s\"", node->attr_count > 0 ? "}" : "", node->name);
    end_line(out);
    for (uint32_t b = 0; b < node->body_count && !out->stopped; b++) {
        indent(out);
        feri_text_add(&out->line, "  graph %u:", b);
        end_line(out);
        print_graph(out, node->bodies[b]);
    }
}

static void print_line(printer *out, const char *word, fer_value_id id) {
    indent(out);
    feri_text_add(&out->line, "%s ", word);
    print_value(out, id, /*with_type=*/1);
}

static void print_graph(printer *out, const fer_graph *graph) {
    const fer_graph *around = out->graph;
    uint32_t formals = graph->input_count - graph->capture_count;
    out->graph = graph;
    for (uint32_t i = 0; i < graph->input_count && !out->stopped; i++) {
        print_line(out, i < formals ? "input" : "capture", graph->inputs[i]);
        end_line(out);
    }
    for (uint32_t v = 0; v < graph->value_count && !out->stopped; v++) {
        const feri_gvalue *value = &graph->values[v];
        if (value->origin != FERI_ORIGIN_VARIABLE) {
            continue;
        }
        print_line(out, "variable", v);
        if (value->assigned != FER_NO_VALUE) {
            feri_text_add(&out->line, " becomes ");
            print_value(out, value->assigned, /*with_type=*/0);
        }
        end_line(out);
    }
    for (uint32_t n = 0; n < graph->node_count && !out->stopped; n++) {
        if (!graph->nodes[n]->is_dead) {
            print_node(out, graph->nodes[n]);
        }
    }
    for (uint32_t o = 0; o < graph->output_count && !out->stopped; o++) {
        print_line(out, "output", graph->outputs[o]);
        if (strcmp(graph->output_names[o], graph->values[graph->outputs[o]].name) != 0) {
            feri_text_add(&out->line, " as %s", graph->output_names[o]);
        }
        end_line(out);
    }
    out->graph = around;
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
