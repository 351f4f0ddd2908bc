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

const void *feri_attr_part(const fer_attr *attr, uint32_t index, uint64_t *out_bytes) {
    static const uint8_t sizes[] = {[FER_ATTR_INT] = 8,
                                    [FER_ATTR_FLOAT] = sizeof(float),
                                    [FER_ATTR_INTS] = 8,
                                    [FER_ATTR_FLOATS] = sizeof(float)};
    int is_list = attr->type == FER_ATTR_STRINGS;
    if (is_list || attr->type == FER_ATTR_STRING) {
        const fer_string *string = is_list ? attr->value.strings + index : &attr->value.s;
        if (index >= (is_list ? attr->count : 1)) {
            return NULL;
        }
        *out_bytes = string->length;
        return string->data != NULL ? string->data : "";
    }
    if (index > 0 || (uint32_t)attr->type >= sizeof sizes || !sizes[attr->type]) {
        return NULL;
    }
    is_list = attr->type == FER_ATTR_INTS || attr->type == FER_ATTR_FLOATS;
    *out_bytes = (uint64_t)sizes[attr->type] * (is_list ? attr->count : 1);
    return is_list ? (const void *)attr->value.ints : (const void *)&attr->value;
}
