/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests: one file NAME.backend of key=value lines per loadable module, in one folder. Keys:
 * name, module (a path; relative ones start at the folder above the manifests'), abi_min, abi_max,
 * options. Lines that begin with # are comments. A manifest or module that is wrong is a line in
 * the load report, never a failure of the context.
 */
#include "base/bump.h"
#include "base/error.h"
#include "base/text.h"
#include "device/device.h"
#include "feri_builtin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, FILE_BYTES = 4096 };

enum { NAME, MODULE, OPTIONS, ABI_MIN, ABI_MAX, KEY_COUNT };
static const char keys[KEY_COUNT][8] = {"name", "module", "options", "abi_min", "abi_max"};

typedef struct manifest {
    const char *values[KEY_COUNT]; /* pieces of the text, NULL where it says nothing */
    unsigned long abi_min;
    unsigned long abi_max;
    char text[FILE_BYTES];
} manifest;

/* NULL, or what is wrong with a line whose key has ended at value - 1. */
static const char *line_take(manifest *parsed, const char *key, const char *value) {
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i], key) == 0) {
            if (i == NAME && strlen(value) >= sizeof(((feri_load_entry *)0)->backend)) {
                return "has too long a value";
            }
            parsed->values[i] = value[0] != 0 ? value : NULL;
            if (i < ABI_MIN) {
                return NULL;
            }
            char *end = NULL;
            *(i == ABI_MIN ? &parsed->abi_min : &parsed->abi_max) =
                (unsigned long)strtol(value, &end, 10);
            return end == value || *end != 0 ? "must be a number" : NULL;
        }
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
    int64_t length = feri_read_small(path, parsed->text, sizeof(parsed->text));
    if (length < 0) {
        return feri_fail(FER_IO, "cannot read manifest '%s'", path);
    }
    if (length == FILE_BYTES - 1) {
        return feri_fail(
            FER_BACKEND, "manifest '%s' is longer than %u bytes", path, FILE_BYTES - 2);
    }
    uint32_t number = 1;
    char *rest = parsed->text;
    for (char *line = rest; line != NULL; line = rest, number++) {
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
    }
    if (parsed->values[NAME] == NULL || parsed->values[MODULE] == NULL) {
        return feri_fail(FER_BACKEND, "manifest '%s' needs the keys name and module", path);
    }
    return FER_OK;
}

static fer_status module_load(fer_context *context,
                              feri_bump *bump,
                              const char *folder,
                              const char *path,
                              const manifest *parsed) {
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
    const char *module = parsed->values[MODULE];
    if (module[0] != '/') {
        module = feri_bump_printf(bump, "%s/../%s", folder, module);
    }
    if (module == NULL) {
        return feri_error_status();
    }
    const feri_load_entry *before = context->load_last;
    FER_TRY(feri_backend_open_library(context, module, parsed->values[OPTIONS]));
    feri_backend *loaded = context->backends[context->backend_count - 1];
    if (strcmp(loaded->name, parsed->values[NAME]) == 0) {
        return FER_OK;
    }
    fer_status status = feri_fail(FER_BACKEND,
                                  "manifest '%s' promises backend '%s' but the module is '%s'",
                                  path,
                                  parsed->values[NAME],
                                  loaded->name);
    context->backend_count--;
    if (context->load_last != before) { /* its line may have found no memory */
        feri_load_report_drop(context);
    }
    feri_module_finish(loaded);
    return status;
}

/* What goes wrong is a line of the report: under the name that the manifest gives, or its own. */
static void
manifest_load(fer_context *context, feri_bump *bump, const char *folder, const char *file) {
    manifest *parsed = FERI_BUMP_ARRAY(bump, manifest, 1);
    const char *path = feri_bump_printf(bump, "%s/%s", folder, file);
    fer_status status =
        parsed != NULL && path != NULL ? manifest_read(path, parsed) : feri_error_status();
    if (status == FER_OK) {
        status = module_load(context, bump, folder, path, parsed);
    }
    if (status != FER_OK) {
        const char *name = parsed != NULL ? parsed->values[NAME] : NULL;
        feri_load_report_add(
            context, status, name != NULL ? name : file, fer_error_last()->message);
    }
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_manifest(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 8 && strcmp(entry->d_name + length - 8, ".backend") == 0;
}

/* The manifests of a folder; below 0 when there is no such folder. */
static int manifests_find(const char *folder, struct dirent ***out_entries) {
    return scandir(folder, out_entries, is_manifest, by_name);
}

/* $libdir/ferrule/backends.d beside the library that holds this function. */
static void own_folder(char *folder, size_t capacity) {
    static const char marker = 0;
    Dl_info info;
    const char *file = dladdr(&marker, &info) != 0 ? info.dli_fname : NULL;
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;
    folder[0] = 0; /* no folder's name */
    if (slash != NULL) {
        snprintf(folder, capacity, "%.*s/ferrule/backends.d", (int)(slash - file), file);
    }
}

void feri_manifests_load(fer_context *context, const char *folder) {
    char chosen[PATH_BYTES];
    struct dirent **entries = NULL;
    int count = -1;
    if (folder == NULL || folder[0] == 0) {
        folder = secure_getenv("FERRULE_BACKEND_PATH");
    }
    if (folder == NULL || folder[0] == 0) {
        own_folder(chosen, sizeof(chosen));
        folder = chosen;
        count = manifests_find(folder, &entries);
        if (count < 0) {
            folder = FERI_DEFAULT_BACKEND_PATH;
        }
    }
    if (count < 0) {
        count = manifests_find(folder, &entries);
    }
    feri_bump bump;
    feri_bump_init(&bump, &context->env);
    for (int i = 0; i < count; i++) {
        manifest_load(context, &bump, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    feri_bump_finish(&bump);
}
