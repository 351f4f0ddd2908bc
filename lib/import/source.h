/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a model's bytes come from: the file itself, read or mapped, and the files of external data
 * beside it. Everything becomes counted buffers, which tensors point into.
 */
#ifndef FERI_IMPORT_SOURCE_H
#define FERI_IMPORT_SOURCE_H

#include "base/bump.h"
#include "base/text.h"
#include "import/protobuf.h"
#include "tensor/tensor.h"

typedef struct feri_source {
    feri_env *env;
    feri_buffer *model; /* the model's bytes; NULL: tensors are copied out of borrowed bytes */
    feri_bump scratch;  /* what is read from messages */
    int folder;         /* file descriptor of the folder of external data, -1: none allowed */
    int is_mapped;
    uint64_t total_bytes; /* opened so far, against limits.max_model_bytes */
    feri_name_map names;  /* external files by location */
    feri_buffer **files;
    uint32_t file_count, file_capacity;
} feri_source;

void feri_source_init(feri_source *source, feri_env *env);
void feri_source_finish(feri_source *source);

/* Opens the model at path; its folder becomes that of external data. IO, LIMIT, BUDGET,
 * OUT_OF_MEMORY, INVALID_MODEL (not a regular file). */
fer_status feri_source_open(feri_source *source, const char *path, int maps);
/* The folder of external data for a model from memory. */
fer_status feri_source_open_folder(feri_source *source, const char *path);

/* The external file at location, opened once. Only regular files strictly below the folder, reached
 * through no link; INVALID_MODEL otherwise. The buffer is borrowed. */
fer_status
feri_source_external(feri_source *source, const feri_span *location, feri_buffer **out_buffer);

#endif
