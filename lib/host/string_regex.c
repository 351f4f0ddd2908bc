/* SPDX-License-Identifier: Apache-2.0
 *
 * RegexFullMatch. The pattern is compiled once a call; see regex.h for what it may hold.
 */
#include "host/regex.h"
#include "host/string_ops.h"

static fer_status
match_all(feri_host_call *call, feri_regex *regex, const fer_tensor *x, fer_tensor **out_tensor) {
    FER_TRY(fer_tensor_create(feri_host_context(call), FER_BOOL, x->rank, x->dims, out_tensor));
    uint8_t *out = fer_tensor_data(*out_tensor);
    regex->check = call->check;
    regex->check_self = call->self;
    for (uint64_t i = 0; i < x->element_count; i++) {
        const char *text = NULL;
        size_t length = 0;
        FER_TRY(feri_string_at(call, x, i, &text, &length));
        int matches = 0;
        FER_TRY(feri_regex_matches(regex, text, length, &matches));
        out[i] = (uint8_t)matches;
    }
    return FER_OK;
}

fer_status feri_host_string_regex(feri_host_call *call) {
    const fer_attr *pattern = feri_attr_find(call->node->attrs, call->node->attr_count, "pattern");
    const char *text = pattern && pattern->value.s.data ? pattern->value.s.data : "";
    feri_regex regex;
    fer_tensor *x = NULL, *result = NULL;
    FER_TRY(feri_host_tensor(call, 0, &x));
    if (x->dtype != FER_STRING) {
        return feri_host_fail(call, FER_INVALID_INPUT, "its input must be strings");
    }
    fer_status status =
        feri_regex_open(&regex, call->env, text, pattern ? pattern->value.s.length : 0);
    status = status ? status : match_all(call, &regex, x, &result);
    feri_regex_close(&regex);
    if (status != FER_OK) {
        fer_tensor_release(result);
        return status;
    }
    return feri_host_give_tensor(call, 0, result);
}
