/* SPDX-License-Identifier: Apache-2.0
 *
 * Import of ONNX models: ModelProto, opsets, and the public functions. What comes out is a
 * verified, finished graph of the newest opset whose constants lie in the model's bytes. A writer
 * belongs beside this file (export.c, with onnx_tensor.c's mirror) once there is one.
 */
#include "base/error.h"
#include "base/fpmode.h"
#include "ferrule/op_selection.h"
#include "graph/gradient.h"
#include "import/importer.h"

#include <string.h>

#define OLDEST_IR 3

/* ---- opsets ---- */

fer_status feri_import_opset(feri_importer *im, feri_span message, feri_opset *out_opset) {
    static const struct {
        const char *domain;
        int64_t newest;
    } known[] = {
        {"",                         FERI_ONNX_OPSET},
        {"ai.onnx.ml",               5              },
        {"ai.onnx.preview",          1              },
        {"ai.onnx.preview.training", 1              },
        {"com.microsoft",            1              },
        {"ferrule",                  1              },
    };
    (void)im;
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    memset(out_opset, 0, sizeof(*out_opset));
    while (feri_wire_next(&wire, &field)) {
        if (field.number == 1) {
            out_opset->domain = feri_field_bytes(&wire, &field);
        } else if (field.number == 2) {
            out_opset->version = feri_field_int(&wire, &field);
        }
    }
    if (feri_span_is(out_opset->domain, "ai.onnx")) {
        out_opset->domain.length = 0;
    }
    if (wire.is_bad || out_opset->version < 1) {
        return feri_fail(FER_INVALID_MODEL,
                         "the opset_import of domain '%.*s' is malformed or below 1 (%lld)",
                         FERI_SPAN_SHOWN(out_opset->domain),
                         (long long)out_opset->version);
    }
    for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
        if (feri_span_is(out_opset->domain, known[k].domain) &&
            out_opset->version > known[k].newest) {
            return feri_fail(FER_UNSUPPORTED,
                             "the model uses opset %lld of domain '%s'; this library knows up to "
                             "opset %lld",
                             (long long)out_opset->version,
                             known[k].domain[0] != '\0' ? known[k].domain : "ai.onnx",
                             (long long)known[k].newest);
        }
    }
    return FER_OK;
}

/* ---- the model ---- */

typedef struct model_view {
    int64_t ir_version;
    feri_span graph;
    int has_graph;
    feri_span *opsets;
    feri_span *functions;
    uint32_t opset_count, function_count;
} model_view;

static fer_status read_model(feri_importer *im, feri_span message, model_view *view) {
    memset(view, 0, sizeof(*view));
    for (int pass = 0; pass < 2; pass++) {
        feri_wire wire = feri_wire_start(message);
        feri_field field;
        view->opset_count = 0;
        view->function_count = 0;
        while (feri_wire_next(&wire, &field)) {
            feri_span span = field.type == FERI_WIRE_BYTES ? field.bytes : (feri_span){NULL, 0};
            if (field.number == 1) {
                view->ir_version = feri_field_int(&wire, &field);
            } else if (field.number == 7) {
                view->graph = feri_field_bytes(&wire, &field);
                view->has_graph = 1;
            } else if (field.number == 8) {
                if (pass == 1) {
                    view->opsets[view->opset_count] = span;
                }
                view->opset_count++;
            } else if (field.number == 25) {
                if (pass == 1) {
                    view->functions[view->function_count] = span;
                }
                view->function_count++;
            }
        }
        if (wire.is_bad || !view->has_graph) {
            return feri_fail(FER_INVALID_MODEL,
                             "this is no ONNX model, or it is malformed or cut off");
        }
        if (pass == 0) {
            view->opsets = FERI_BUMP_ARRAY(&im->scratch, feri_span, view->opset_count);
            view->functions = FERI_BUMP_ARRAY(&im->scratch, feri_span, view->function_count);
            if (view->opsets == NULL || view->functions == NULL) {
                return fer_error_last()->status;
            }
        }
    }
    return FER_OK;
}

static fer_status import_opsets(feri_importer *im, const model_view *view) {
    if (view->ir_version < OLDEST_IR) {
        return feri_fail(view->ir_version < 1 ? FER_INVALID_MODEL : FER_UNSUPPORTED,
                         "the model has IR version %lld; versions from %d on are supported: "
                         "convert it with onnx.version_converter",
                         (long long)view->ir_version,
                         OLDEST_IR);
    }
    im->ir_version = view->ir_version;
    im->opsets.list = FERI_BUMP_ARRAY(&im->scratch, feri_opset, view->opset_count);
    if (im->opsets.list == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t o = 0; o < view->opset_count; o++) {
        FER_TRY(feri_import_opset(im, view->opsets[o], &im->opsets.list[o]));
        im->opsets.count++;
    }
    return FER_OK;
}

static fer_status import_main_graph(feri_importer *im, feri_span message) {
    feri_scope scope;
    feri_scope_init(&scope, im, /*outer=*/NULL, im->root);
    scope.opsets = &im->opsets;
    fer_status status = feri_import_graph(&scope, message);
    feri_scope_finish(&scope);
    return status;
}

static fer_status import_model(feri_importer *im, feri_span message) {
    model_view view;
    FER_TRY(read_model(im, message, &view));
    FER_TRY(import_opsets(im, &view));
    FER_TRY(feri_import_functions(im, view.functions, view.function_count));
    FER_TRY(import_main_graph(im, view.graph));
    FER_TRY(feri_graph_verify(im->root));
    if (im->is_unordered) {
        FER_TRY(feri_graph_infer_known(im->root));
    }
    if (FERI_HAS_OP(training_Gradient)) {
        FER_TRY(feri_graph_differentiate(im->root));
    }
    FER_TRY(feri_graph_describe(im->root));
    im->root->is_finished = 1;
    return FER_OK;
}

/* The whole file as a tensor, so that the graph holds it. */
static fer_status hold_file(feri_source *source, fer_graph *graph) {
    if (source->model == NULL || source->model->bytes > INT64_MAX) {
        return FER_OK;
    }
    int64_t dim = (int64_t)source->model->bytes;
    if (source->model->bytes > source->env->limits.max_tensor_bytes) {
        return FER_OK; /* its tensors hold it all the same */
    }
    return feri_tensor_on_buffer(source->model, 0, FER_U8, 1, &dim, &graph->file);
}

static fer_status import_source(feri_source *source, fer_graph **out_graph) {
    feri_importer im;
    memset(&im, 0, sizeof(im));
    im.env = source->env;
    im.source = source;
    FER_TRY(feri_graph_create(im.env, /*parent=*/NULL, &im.root));
    feri_bump_init(&im.scratch, im.env);
    feri_name_map_init(&im.function_names, im.env);
    fer_status status = hold_file(source, im.root);
    if (status == FER_OK) {
        feri_fpmode mode = feri_fpmode_enter(); /* inference computes small values */
        status = import_model(&im, (feri_span){source->model->host, source->model->bytes});
        feri_fpmode_leave(mode);
    }
    for (uint32_t t = 0; t < im.tensor_count; t++) {
        fer_tensor_release(im.tensors[t]);
    }
    feri_free(im.env, im.tensors, (uint64_t)im.tensor_capacity * sizeof(fer_tensor *));
    feri_name_map_finish(&im.function_names);
    feri_bump_finish(&im.scratch);
    if (status != FER_OK) {
        feri_graph_destroy(im.root);
        return status;
    }
    *out_graph = im.root;
    return FER_OK;
}

/* ---- public ---- */

fer_status fer_graph_import_file(fer_context *context,
                                 const char *path,
                                 const fer_import_options *options,
                                 fer_graph **out_graph) {
    fer_import_options full;
    if (context == NULL || path == NULL || out_graph == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "fer_graph_import_file: an argument is NULL");
    }
    FER_TRY(feri_struct_in(&full, sizeof(full), options, "fer_import_options"));
    feri_source source;
    feri_source_init(&source, feri_env_of(context));
    fer_status status = feri_source_open(&source, path, full.map_file != 0);
    if (status == FER_OK) {
        status = import_source(&source, out_graph);
        if (status != FER_OK) {
            feri_error_prefix("'%s'", path);
        }
    }
    feri_source_finish(&source);
    return status;
}

static fer_status take_memory(feri_source *source,
                              const void *data,
                              uint64_t bytes,
                              fer_release_fn release,
                              void *release_self) {
    void *memory = (void *)(uintptr_t)data;
    if (bytes > source->env->limits.max_model_bytes) {
        if (release != NULL) {
            release(release_self, memory);
        }
        return feri_fail(FER_LIMIT,
                         "the model has %llu bytes, more than max_model_bytes allows (%llu)",
                         (unsigned long long)bytes,
                         (unsigned long long)source->env->limits.max_model_bytes);
    }
    source->total_bytes = bytes;
    if (release != NULL) {
        return feri_buffer_import(source->env,
                                  memory,
                                  bytes,
                                  /*is_read_only=*/1,
                                  release,
                                  release_self,
                                  &source->model);
    }
    FER_TRY(feri_buffer_create(source->env, bytes, &source->model));
    if (bytes > 0) {
        memcpy(source->model->host, data, bytes);
    }
    return FER_OK;
}

fer_status fer_graph_import_memory(fer_context *context,
                                   const void *data,
                                   uint64_t bytes,
                                   const fer_import_options *options,
                                   fer_release_fn release,
                                   void *release_self,
                                   fer_graph **out_graph) {
    fer_import_options full;
    fer_status status = FER_OK;
    if (context == NULL || (data == NULL && bytes > 0) || out_graph == NULL) {
        status = feri_fail(FER_INVALID_ARGUMENT, "fer_graph_import_memory: an argument is NULL");
    }
    if (status == FER_OK) {
        status = feri_struct_in(&full, sizeof(full), options, "fer_import_options");
    }
    if (status != FER_OK) {
        if (release != NULL) {
            release(release_self, (void *)(uintptr_t)data);
        }
        return status;
    }
    feri_source source;
    feri_source_init(&source, feri_env_of(context));
    status = take_memory(&source, data, bytes, release, release_self);
    if (status == FER_OK && full.base_folder != NULL) {
        status = feri_source_open_folder(&source, full.base_folder);
    }
    if (status == FER_OK) {
        status = import_source(&source, out_graph);
    }
    feri_source_finish(&source);
    return status;
}
