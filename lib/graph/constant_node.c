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
    /* Of an int, a float and a string; lists of them have types 4 above theirs. */
    static const uint8_t dtypes[] = {FER_DTYPE_NONE, FER_I64, FER_F32, FER_STRING};
    _Static_assert(FER_ATTR_INT == 1 && FER_ATTR_FLOAT == 2 && FER_ATTR_STRING == 3 &&
                       FER_ATTR_INTS == 5 && FER_ATTR_FLOATS == 6 && FER_ATTR_STRINGS == 7,
                   "as dtypes are found");
    fer_context *context = (fer_context *)(void *)env;
    int64_t dim = attr->count;
    uint32_t rank = attr->type >= FER_ATTR_INTS;
    fer_dtype dtype = dtypes[attr->type & 3];
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
        const void *from = rank == 0 ? (const void *)&attr->value : (const void *)attr->value.ints;
        if ((*out_tensor)->bytes > 0) {
            memcpy(fer_tensor_data(*out_tensor), from, (*out_tensor)->bytes);
        }
        return FER_OK;
    }
    const fer_string *strings = rank == 0 ? &attr->value.s : attr->value.strings;
    const char **texts = FERI_BUMP_ARRAY(bump, const char *, attr->count);
    size_t *lengths = FERI_BUMP_ARRAY(bump, size_t, attr->count);
    if (texts == NULL || lengths == NULL) {
        return feri_error_status();
    }
    for (uint32_t s = 0; s < attr->count; s++) {
        texts[s] = strings[s].data;
        lengths[s] = (size_t)strings[s].length;
    }
    return fer_tensor_create_strings(context, rank, &dim, texts, lengths, out_tensor);
}

fer_status
feri_graph_add_constant_node(fer_graph *graph, const fer_node_desc *desc, fer_value_id *out_value) {
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
    return feri_fail(
        FER_INVALID_MODEL, "Constant '%s' has no value", desc->name != NULL ? desc->name : "");
}
