/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening files; see source.h. External data is hostile until proven: each component of its path is
 * opened by itself without following links, and what is found must be a regular file.
 */
#include "import/source.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void feri_source_init(feri_source *source, feri_env *env) {
    memset(source, 0, sizeof(*source));
    source->env = env;
    source->folder = -1;
    feri_name_map_init(&source->names, env);
    feri_bump_init(&source->scratch, env);
}

void feri_source_finish(feri_source *source) {
    for (uint32_t f = 0; f < source->file_count; f++) {
        feri_buffer_release(source->files[f]);
    }
    feri_free(source->env, source->files, (uint64_t)source->file_capacity * sizeof(feri_buffer *));
    feri_buffer_release(source->model);
    feri_name_map_finish(&source->names);
    feri_bump_finish(&source->scratch);
    if (source->folder >= 0) {
        (void)close(source->folder);
    }
}

/* In the C locale whatever the caller's is. */
static const char *errno_text(int code) {
    static const uint8_t codes[] = {
        ENOENT, EACCES, EISDIR, ENOTDIR, ELOOP, EMFILE, ENFILE, EIO, ENAMETOOLONG, ENOMEM};
    const char *text = "no such file or folder\0permission denied\0it is a folder\0"
                       "a part of it is no folder\0it is a symbolic link\0too many open files\0"
                       "too many open files\0input/output error\0the name is too long\0"
                       "out of memory\0see errno";
    for (size_t c = 0; c < sizeof(codes) && codes[c] != code; c++) {
        text += strlen(text) + 1;
    }
    return text;
}

static fer_status io_failed(const char *what, const char *path) {
    int code = errno;
    return feri_fail(FER_IO, "cannot %s '%s': %s (errno %d)", what, path, errno_text(code), code);
}

/* ---- contents ---- */

static fer_status read_all(int file, const char *path, feri_buffer *buffer) {
    uint64_t done = 0;
    while (done < buffer->bytes) {
        uint64_t step = buffer->bytes - done;
        step = step < (1u << 30) ? step : (1u << 30);
        ssize_t got = read(file, buffer->host + done, (size_t)step);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return io_failed("read", path);
        }
        if (got == 0) {
            return feri_fail(FER_IO,
                             "'%s' became shorter while it was read (%llu of %llu bytes)",
                             path,
                             (unsigned long long)done,
                             (unsigned long long)buffer->bytes);
        }
        done += (uint64_t)got;
    }
    return FER_OK;
}

/* release of mapped memory: self holds the length. */
static void unmap(void *self, void *memory) { (void)munmap(memory, (size_t)(uintptr_t)self); }

static fer_status
map_all(feri_source *source, int file, const char *path, uint64_t bytes, feri_buffer **out) {
    void *memory = mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (memory == MAP_FAILED) {
        return io_failed("map", path);
    }
    return feri_buffer_import(
        source->env, memory, bytes, /*is_read_only=*/1, unmap, (void *)(uintptr_t)bytes, out);
}

static fer_status refuse(const feri_span *location, const char *why) {
    return feri_fail(FER_INVALID_MODEL,
                     "its data is in '%.*s': %s; external data must be regular files below the "
                     "model's own folder",
                     FERI_SPAN_SHOWN(*location),
                     why);
}

/* The contents of an open file as a buffer; the file stays open. location: of external data, NULL
 * for the model itself. */
static fer_status take_contents(feri_source *source,
                                int file,
                                const char *path,
                                const feri_span *location,
                                feri_buffer **out_buffer) {
    struct stat info;
    if (fstat(file, &info) != 0) {
        return io_failed("read", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return location != NULL ? refuse(location, "it is not a regular file")
                                : feri_fail(FER_IO, "'%s' is not a regular file", path);
    }
    uint64_t bytes = (uint64_t)info.st_size;
    uint64_t limit = source->env->limits.max_model_bytes;
    if (bytes > limit || source->total_bytes > limit - bytes || bytes > SIZE_MAX / 2) {
        return feri_fail(FER_LIMIT,
                         "'%s' has %llu bytes; with it the model is larger than max_model_bytes "
                         "allows (%llu)",
                         path,
                         (unsigned long long)bytes,
                         (unsigned long long)limit);
    }
    feri_buffer *buffer = NULL;
    if (source->is_mapped && bytes > 0) {
        FER_TRY(map_all(source, file, path, bytes, &buffer));
    } else {
        FER_TRY(feri_buffer_create(source->env, bytes, &buffer));
        fer_status status = read_all(file, path, buffer);
        if (status != FER_OK) {
            feri_buffer_release(buffer);
            return status;
        }
    }
    source->total_bytes += bytes;
    *out_buffer = buffer;
    return FER_OK;
}

/* ---- the model ---- */

/* O_NONBLOCK: a pipe must not hang the open; take_contents refuses it then. */
static int open_file(int folder, const char *path, int flags) {
    return openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
}

fer_status feri_source_open_folder(feri_source *source, const char *path) {
    source->folder = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    return source->folder >= 0 ? FER_OK : io_failed("open the folder", path);
}

static fer_status open_parent(feri_source *source, const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return feri_source_open_folder(source, ".");
    }
    char *folder =
        feri_bump_strndup(&source->scratch, path, slash == path ? 1 : (uint64_t)(slash - path));
    return folder != NULL ? feri_source_open_folder(source, folder) : feri_error_status();
}

fer_status feri_source_open(feri_source *source, const char *path, int maps) {
    source->is_mapped = maps;
    int file = open_file(AT_FDCWD, path, 0);
    if (file < 0) {
        return io_failed("open", path);
    }
    fer_status status = take_contents(source, file, path, /*location=*/NULL, &source->model);
    (void)close(file);
    return status == FER_OK ? open_parent(source, path) : status;
}

/* ---- external data ---- */

/* Opens location below folder, a component at a time, and tells what was wrong: NULL when nothing
 * was. text is location with a NUL, and is cut up. */
static const char *open_below(feri_source *source, char *text, int *out_file) {
    int folder = source->folder;
    const char *wrong = NULL;
    for (char *part = text; part != NULL && wrong == NULL;) {
        char *slash = strchr(part, '/');
        if (slash != NULL) {
            *slash++ = '\0';
        }
        int next = folder;
        if (part[0] == '\0' || strcmp(part, "..") == 0) {
            wrong = "it is absolute or has an empty or '..' part";
        } else if (slash == NULL || strcmp(part, ".") != 0) {
            next = open_file(folder, part, O_NOFOLLOW | (slash != NULL ? O_DIRECTORY : 0));
            wrong = next < 0 ? errno_text(errno) : NULL;
        }
        if (folder != next && folder != source->folder) {
            (void)close(folder);
        }
        folder = next;
        part = slash;
    }
    *out_file = folder != source->folder ? folder : -1;
    return wrong;
}

static fer_status
open_external(feri_source *source, const feri_span *location, feri_buffer **out_buffer) {
    int file = -1;
    char *text =
        feri_bump_strndup(&source->scratch, (const char *)location->data, location->length);
    if (text == NULL) {
        return feri_error_status();
    }
    const char *wrong = open_below(source, text, &file);
    fer_status status = wrong != NULL
                            ? refuse(location, wrong)
                            : take_contents(source, file, "external data", location, out_buffer);
    if (file >= 0) {
        (void)close(file);
    }
    return status;
}

fer_status
feri_source_external(feri_source *source, const feri_span *location, feri_buffer **out_buffer) {
    uint32_t index = 0;
    const char *key = (const char *)location->data;
    if (location->length == 0 || memchr(location->data, 0, location->length) != NULL) {
        return refuse(location, "the location is empty or has a NUL in it");
    }
    if (source->folder < 0) {
        return refuse(location, "the model comes from memory and no base_folder was given");
    }
    if (feri_name_map_get(&source->names, key, location->length, &index)) {
        *out_buffer = source->files[index];
        return FER_OK;
    }
    FER_TRY(feri_grow(source->env,
                      &source->files,
                      &source->file_capacity,
                      source->file_count + 1,
                      sizeof(feri_buffer *)));
    feri_buffer *buffer = NULL;
    FER_TRY(open_external(source, location, &buffer));
    source->files[source->file_count] = buffer;
    *out_buffer = buffer;
    return feri_name_map_set(&source->names, key, location->length, source->file_count++);
}
