/* SPDX-License-Identifier: Apache-2.0
 *
 * Which expectations hold for a device without being named: NAME.expectations beside the manifests,
 * for every backend in the device's name, so that check(null:0) is held to what check and null
 * say of themselves. A backend without such a file has no known failures.
 */
#include "command.h"
#include "conform.h"

#include <ctype.h>
#include <dlfcn.h>
#include <ferrule/ferrule.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_CAPACITY = 4096 };

void manifest_folder(char *out_folder, size_t capacity) {
    const char *chosen = getenv("FERRULE_BACKEND_PATH");
    fer_status (*inside)(const fer_context_options *, fer_context **) = fer_context_create;
    void *address;
    Dl_info library;
    memcpy(&address, &inside, sizeof address);
    if (chosen != NULL && chosen[0] != '\0') {
        (void)snprintf(out_folder, capacity, "%s", chosen);
        return;
    }
    const char *slash = dladdr(address, &library) != 0 && library.dli_fname != NULL
                            ? strrchr(library.dli_fname, '/')
                            : NULL;
    int length = slash != NULL ? (int)(slash - library.dli_fname) : 0;
    (void)snprintf(out_folder,
                   capacity,
                   "%.*s/ferrule/backends.d",
                   length,
                   slash != NULL ? library.dli_fname : "");
    if (slash == NULL || access(out_folder, R_OK) != 0) {
        (void)snprintf(out_folder, capacity, "%s", FERRULE_MANIFESTS);
    }
}

int known_failures_read(const char *device, expectations **io) {
    char folder[PATH_CAPACITY], path[PATH_CAPACITY + 64];
    int status = EXIT_RIGHT;
    manifest_folder(folder, sizeof folder);
    for (const char *at = device; *at != '\0';) {
        size_t length = strcspn(at, "(:,)");
        if (length > 0 && length < 48 && !isdigit((unsigned char)*at)) {
            (void)snprintf(path, sizeof path, "%s/%.*s.expectations", folder, (int)length, at);
            if (access(path, R_OK) == 0) {
                int read = expectations_read(path, io);
                status = read != EXIT_RIGHT ? read : status;
            }
        }
        at += length + (at[length] != '\0');
    }
    return status;
}
