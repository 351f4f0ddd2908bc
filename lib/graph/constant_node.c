/* SPDX-License-Identifier: Apache-2.0
 *
 * Constant's many forms of a tensor. Such nodes become constants of the graph when they are added,
 * so that no device and no pass meets one. Called by builder.c and by the importer.
 */
#include "base/error.h"
#include "graph/graph.h"

#include <string.h>

/* A tensor of one of the value_... attributes: a scalar, or a list. */
fer_status feri_constant_of_attr(feri_env *env,
                                 feri_bump *bump,
                                 const fer_attr *attr,
                                 fer_tensor **out_tensor) {
    static const uint8_t dtypes[] = {[FERI_ENTRY_OTHER] = FER_DTYPE_NONE,
                                     [FERI_ENTRY_INT] = FER_I64,
                                     [FERI_ENTRY_FLOAT] = FER_F32,
                                     [FERI_ENTRY_STRING] = FER_STRING};
    fer_context *context = (fer_context *)(void *)env;
    fer_dtype dtype = dtypes[feri_attr_entry(attr)];
    uint32_t count;
    const void *entries = feri_attr_entries(attr, &count);
    const int64_t dim = count;
    const uint32_t rank = entries != &attr->value;
    if (attr->type == FER_ATTR_TENSOR) {
        *out_tensor = fer_tensor_retain(attr->value.tensor);
        return FER_OK;
    }
    if (dtype == FER_DTYPE_NONE) {
        return feri_fail(
            FER_INVALID_MODEL, "attribute '%s' of a Constant is of a wrong type", attr->name);
    }
    if (dtype != FER_STRING) {
        FER_TRY(fer_tensor_create(context, dtype, rank, &dim, out_tensor));
        if (count > 0) {
            memcpy(fer_tensor_data(*out_tensor), entries, (*out_tensor)->bytes);
        }
        return FER_OK;
    }
    const fer_string *strings = entries;
    const char **texts = FERI_BUMP_ARRAY(bump, const char *, count);
    size_t *lengths = FERI_BUMP_ARRAY(bump, size_t, count);
    if (texts == NULL || lengths == NULL) {
        return feri_error_status();
    }
    for (uint32_t s = 0; s < count; s++) {
        texts[s] = strings[s].data;
        lengths[s] = (size_t)strings[s].length;
    }
    return fer_tensor_create_strings(context, rank, &dim, texts, lengths, out_tensor);
}

fer_status
feri_graph_add_constant_node(fer_graph *graph, const fer_node_desc *desc, fer_value_id *out_value) {
    if (desc->input_count != 0 || desc->output_count != 1) {
        return feri_fail(
            FER_INVALID_MODEL, "Constant '%s' has one result and no operand", desc->name);
    }
    for (uint32_t a = 0; a < desc->attr_count; a++) {
        fer_tensor *tensor = NULL;
        if (strncmp(desc->attrs[a].name, "value", 5) == 0) {
            fer_status status =
                feri_constant_of_attr(graph->env, &graph->bump, &desc->attrs[a], &tensor);
            if (status == FER_OK) {
                status = feri_graph_new_constant(graph, /*name=*/NULL, tensor, out_value);
            }
            fer_tensor_release(tensor);
            return status;
        }
    }
    return feri_fail(FER_INVALID_MODEL, "Constant '%s' has no value", desc->name);
}
