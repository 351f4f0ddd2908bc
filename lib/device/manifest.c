/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests: one file NAME.backend of key=value lines per loadable module, in one folder. Keys:
 * name, module (a path; relative ones start at the folder above the manifests'), abi_min, abi_max,
 * options. Lines that begin with # are comments. A manifest or module that is wrong is a line in
 * the load report, never a failure of the context.
 */
#include "base/error.h"
#include "device/device.h"
#include "feri_builtin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096, FILE_BYTES = 4096 };

typedef struct manifest {
    char name[48];
    char module[1024];
    char options[512];
    unsigned long abi_min;
    unsigned long abi_max;
} manifest;

static const struct manifest_key {
    char key[8];
    uint16_t at, capacity; /* in a manifest; capacity 0: a number */
} manifest_keys[] = {
    {"name",    offsetof(manifest, name),    sizeof(((manifest *)0)->name)   },
    {"module",  offsetof(manifest, module),  sizeof(((manifest *)0)->module) },
    {"options", offsetof(manifest, options), sizeof(((manifest *)0)->options)},
    {"abi_min", offsetof(manifest, abi_min), 0                               },
    {"abi_max", offsetof(manifest, abi_max), 0                               },
};

/* NULL, or what is wrong with a line whose key has ended at value - 1. */
static const char *line_take(manifest *parsed, const char *key, const char *value) {
    for (size_t i = 0; i < sizeof(manifest_keys) / sizeof(manifest_keys[0]); i++) {
        char *into = (char *)parsed + manifest_keys[i].at;
        size_t length = strlen(value);
        if (strcmp(manifest_keys[i].key, key) != 0) {
            continue;
        }
        if (manifest_keys[i].capacity == 0) {
            char *end = NULL;
            unsigned long number = strtoul(value, &end, 10);
            memcpy(into, &number, sizeof(number));
            return end == value || *end != 0 ? "must be a number" : NULL;
        }
        if (length >= manifest_keys[i].capacity) {
            return "has too long a value";
        }
        memcpy(into, value, length + 1);
        return NULL;
    }
    return "is no key of a manifest";
}

static fer_status manifest_line(manifest *parsed, char *line, uint32_t number, const char *file) {
    char *equals = strchr(line, '=');
    const char *wrong = "is not key=value";
    if (equals != NULL) {
        *equals = 0;
        wrong = line_take(parsed, line, equals + 1);
    }
    return wrong == NULL ? FER_OK
                         : feri_fail(FER_BACKEND, "%s:%u: '%.60s' %s", file, number, line, wrong);
}

static fer_status manifest_read(const char *path, manifest *parsed) {
    memset(parsed, 0, sizeof(*parsed));
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return feri_fail(FER_IO, "cannot read manifest '%s'", path);
    }
    char text[FILE_BYTES];
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    if (length == sizeof(text) - 1) {
        return feri_fail(
            FER_BACKEND, "manifest '%s' is longer than %u bytes", path, FILE_BYTES - 2);
    }
    text[length] = 0;
    uint32_t number = 1;
    char *rest = text;
    for (char *line = rest; line != NULL; number++) {
        rest = strchr(line, '\n');
        if (rest != NULL) {
            *rest++ = 0;
        }
        size_t end = strlen(line);
        while (end > 0 && (line[end - 1] == '\r' || line[end - 1] == ' ')) {
            line[--end] = 0;
        }
        if (line[0] != 0 && line[0] != '#') {
            FER_TRY(manifest_line(parsed, line, number, path));
        }
        line = rest;
    }
    if (parsed->name[0] == 0 || parsed->module[0] == 0) {
        return feri_fail(FER_BACKEND, "manifest '%s' needs the keys name and module", path);
    }
    return FER_OK;
}

static fer_status
manifest_load(fer_context *context, const char *folder, const char *path, manifest *parsed) {
    if (parsed->abi_min > FER_BACKEND_ABI_MAX ||
        (parsed->abi_max != 0 && parsed->abi_max < FER_BACKEND_ABI_MIN)) {
        return feri_fail(FER_VERSION,
                         "manifest '%s' asks for ABI %lu to %lu, this library speaks %u to %u",
                         path,
                         parsed->abi_min,
                         parsed->abi_max,
                         FER_BACKEND_ABI_MIN,
                         FER_BACKEND_ABI_MAX);
    }
    char module[PATH_BYTES];
    int written = parsed->module[0] == '/'
                      ? snprintf(module, sizeof(module), "%s", parsed->module)
                      : snprintf(module, sizeof(module), "%s/../%s", folder, parsed->module);
    if (written < 0 || (size_t)written >= sizeof(module)) {
        return feri_fail(FER_IO, "the module path of manifest '%s' is too long", path);
    }
    uint32_t before = context->backend_count;
    FER_TRY(feri_backend_open_library(context, module, parsed->options));
    if (context->backend_count == before + 1 &&
        strcmp(context->backends[before]->name, parsed->name) != 0) {
        fer_status status = feri_fail(FER_BACKEND,
                                      "manifest '%s' promises backend '%s' but the module is '%s'",
                                      path,
                                      parsed->name,
                                      context->backends[before]->name);
        context->backend_count--;
        feri_load_report_drop(context);
        feri_module_finish(context->backends[before]);
        return status;
    }
    return FER_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_manifest(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 8 && strcmp(entry->d_name + length - 8, ".backend") == 0;
}

/* $libdir/ferrule/backends.d beside the library that holds this function, else the place chosen at
 * build time. */
static void default_folder(char *folder, size_t capacity) {
    Dl_info info;
    static const char marker = 0;
    if (dladdr(&marker, &info) != 0 && info.dli_fname != NULL) {
        const char *slash = strrchr(info.dli_fname, '/');
        if (slash != NULL) {
            snprintf(folder,
                     capacity,
                     "%.*s/ferrule/backends.d",
                     (int)(slash - info.dli_fname),
                     info.dli_fname);
            struct stat facts;
            if (stat(folder, &facts) == 0 && S_ISDIR(facts.st_mode)) {
                return;
            }
        }
    }
    snprintf(folder, capacity, "%s", FERI_DEFAULT_BACKEND_PATH);
}

void feri_manifests_load(fer_context *context, const char *folder) {
    char chosen[PATH_BYTES];
    if (folder == NULL || folder[0] == 0) {
        folder = secure_getenv("FERRULE_BACKEND_PATH");
    }
    if (folder == NULL || folder[0] == 0) {
        default_folder(chosen, sizeof(chosen));
        folder = chosen;
    }
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_manifest, by_name);
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES];
        manifest parsed;
        parsed.name[0] = 0;
        int length = snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        fer_status status =
            length < 0 || (size_t)length >= sizeof(path)
                ? feri_fail(FER_IO, "the path of manifest '%s' is too long", entries[i]->d_name)
                : manifest_read(path, &parsed);
        if (status == FER_OK) {
            status = manifest_load(context, folder, path, &parsed);
        }
        if (status != FER_OK) {
            feri_load_report_add(context,
                                 status,
                                 parsed.name[0] != 0 ? parsed.name : entries[i]->d_name,
                                 fer_error_last()->message);
        }
        free(entries[i]);
    }
    free(entries);
}
