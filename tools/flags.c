/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading flags into a struct by their table: see flags.h.
 */
#include "flags.h"

#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void flags_help(const flag_table *table, FILE *stream) {
    for (size_t i = 0; i < table->count; i++) {
        const flag *one = &table->flags[i];
        if ((one->verbs & table->bit) == 0) {
            continue;
        }
        char left[64];
        (void)snprintf(left, sizeof left, "%s %s", one->name, one->value != NULL ? one->value : "");
        fprintf(stream, "  %-32s %s\n", left, one->help);
    }
}

int split_pair(const char *pair, size_t *out_name_length, const char **out_value) {
    const char *at = strrchr(pair, '=');
    if (at == NULL || at == pair || at[1] == '\0') {
        return 0;
    }
    *out_name_length = (size_t)(at - pair);
    *out_value = at + 1;
    return 1;
}

static int set_number(const flag *self, void *into, const char *text) {
    char *end = NULL;
    errno = 0;
    double real = 0;
    int64_t integer = 0;
    if (self->kind == FLAG_REAL) {
        real = strtod(text, &end);
    } else {
        integer = strtoll(text, &end, 10);
    }
    if (self->kind == FLAG_BYTES && end != text && *end != '\0') {
        static const char units[] = "KMGT";
        const char *unit = strchr(units, *end);
        int64_t scale = unit != NULL ? (int64_t)1 << (10 * (unit - units + 1)) : 1;
        end += unit != NULL;
        if (integer < 0 || integer > INT64_MAX / scale) {
            errno = ERANGE;
        } else {
            integer *= scale;
        }
    }
    if (end == text || *end != '\0' || errno != 0 || real < 0 || real != real ||
        (integer < 0 && self->kind != FLAG_SIGNED)) {
        return complain(
            EXIT_USAGE, "USAGE", "%s takes %s, not '%s'", self->name, self->value, text);
    }
    char *field = (char *)into + self->offset;
    if (self->kind == FLAG_REAL) {
        memcpy(field, &real, sizeof real);
    } else {
        memcpy(field, &integer, sizeof integer);
    }
    return EXIT_RIGHT;
}

static int set_value(const flag *self, void *into, const char *text) {
    char *field = (char *)into + self->offset;
    switch (self->kind) {
    case FLAG_SWITCH:
        *(int32_t *)(void *)field = 1;
        return EXIT_RIGHT;
    case FLAG_TEXT:
        *(const char **)(void *)field = text;
        return EXIT_RIGHT;
    case FLAG_LIST: {
        text_list *list = (text_list *)(void *)field;
        size_t length;
        const char *value;
        if (!split_pair(text, &length, &value)) {
            return complain(
                EXIT_USAGE, "USAGE", "%s takes %s, not '%s'", self->name, self->value, text);
        }
        if (list->count == LIST_CAPACITY) {
            return complain(
                EXIT_USAGE, "USAGE", "%s is given more than %d times", self->name, LIST_CAPACITY);
        }
        list->items[list->count++] = text;
        return EXIT_RIGHT;
    }
    default:
        return set_number(self, into, text);
    }
}

static const flag *flag_find(const flag_table *table, const char *name, size_t length) {
    for (size_t i = 0; i < table->count; i++) {
        const flag *one = &table->flags[i];
        if (strlen(one->name) == length && memcmp(one->name, name, length) == 0 &&
            (one->verbs & table->bit) != 0) {
            return one;
        }
    }
    return NULL;
}

int flags_parse(const flag_table *table,
                void *into,
                int argc,
                char **argv,
                int (*other)(void *into, const char *word)) {
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            int status = other(into, argv[i]);
            if (status != EXIT_RIGHT) {
                return status;
            }
            continue;
        }
        const char *equals = strchr(argv[i], '=');
        size_t length = equals != NULL ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        const flag *one = flag_find(table, argv[i], length);
        if (one == NULL || (equals != NULL && one->kind == FLAG_SWITCH)) {
            return complain(EXIT_USAGE,
                            "USAGE",
                            "ferrule %s has no flag '%s'; see ferrule %s --help",
                            table->verb,
                            argv[i],
                            table->verb);
        }
        const char *text = equals != NULL ? equals + 1 : NULL;
        if (one->kind != FLAG_SWITCH && text == NULL) {
            if (i + 1 == argc) {
                return complain(EXIT_USAGE, "USAGE", "%s needs %s", argv[i], one->value);
            }
            text = argv[++i];
        }
        int status = set_value(one, into, text);
        if (status != EXIT_RIGHT) {
            return status;
        }
    }
    return EXIT_RIGHT;
}
