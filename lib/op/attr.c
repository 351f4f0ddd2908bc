/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes of a node by name. Kinds were checked by feri_op_check; a wrong kind here counts as
 * absent, so that nothing reads the wrong member.
 */
#include "op/op.h"

#include <string.h>

const fer_attr *feri_attr_find(const fer_attr *attrs, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; i++) {
        if (attrs[i].name && strcmp(attrs[i].name, name) == 0) {
            return &attrs[i];
        }
    }
    return NULL;
}

int64_t feri_attr_int(const fer_attr *attrs, uint32_t count, const char *name, int64_t absent) {
    const fer_attr *attr = feri_attr_find(attrs, count, name);
    return attr && attr->type == FER_ATTR_INT ? attr->value.i : absent;
}

float feri_attr_float(const fer_attr *attrs, uint32_t count, const char *name, float absent) {
    const fer_attr *attr = feri_attr_find(attrs, count, name);
    return attr && attr->type == FER_ATTR_FLOAT ? attr->value.f : absent;
}

const char *
feri_attr_string(const fer_attr *attrs, uint32_t count, const char *name, const char *absent) {
    const fer_attr *attr = feri_attr_find(attrs, count, name);
    return attr && attr->type == FER_ATTR_STRING && attr->value.s.data ? attr->value.s.data
                                                                       : absent;
}

_Static_assert(FER_ATTR_INT == 1 && FER_ATTR_FLOAT == 2 && FER_ATTR_STRING == 3 &&
                   FER_ATTR_TENSOR == 4 && FER_ATTR_INTS == 5 && FER_ATTR_FLOATS == 6 &&
                   FER_ATTR_STRINGS == 7 && FER_ATTR_GRAPH == 8,
               "as entries are found");

const void *feri_attr_entries(const fer_attr *attr, uint32_t *out_count) {
    int is_list = attr->type >= FER_ATTR_INTS && attr->type <= FER_ATTR_STRINGS;
    *out_count = is_list ? attr->count : 1;
    return is_list ? (const void *)attr->value.ints : (const void *)&attr->value;
}

const void *feri_attr_part(const fer_attr *attr, uint32_t index, uint64_t *out_bytes) {
    uint32_t count;
    const void *entries = feri_attr_entries(attr, &count);
    if (feri_attr_entry(attr) == FERI_ENTRY_STRING) {
        const fer_string *string = (const fer_string *)entries + index;
        if (index >= count) {
            return NULL;
        }
        *out_bytes = string->length;
        return string->data != NULL ? string->data : "";
    }
    *out_bytes = (uint64_t)feri_attr_entry_bytes(attr) * count;
    return index == 0 && feri_attr_entry(attr) != FERI_ENTRY_OTHER ? entries : NULL;
}
