/* SPDX-License-Identifier: Apache-2.0
 *
 * identify_files MODEL LABELS FILE...: the type of files by magika's model, on each default device.
 * LABELS names the model's outputs in order.
 * The model reads 1,024 bytes of the file's first 4,096 after leading white space, padded with 256
 * behind, and the last 1,024 before trailing white space, padded in front.
 */
#include "ferrule/ferrule.h"

#include <stdio.h>
#include <time.h>

static char labels[512][32]; /* the model's outputs, by index */

enum { BLOCK = 4096, HALF = 1024, PAD = 256 };

static int is_white(int byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

static int read_features(const char *path, int32_t *features) {
    unsigned char block[BLOCK];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return 0;
    }
    for (int i = 0; i < 2 * HALF; i++) {
        features[i] = PAD;
    }
    size_t length = fread(block, 1, BLOCK, file), begin = 0;
    while (begin < length && is_white(block[begin])) {
        begin++;
    }
    for (size_t i = begin; i < length && i - begin < HALF; i++) {
        features[i - begin] = block[i];
    }
    if (length == BLOCK && fseek(file, -BLOCK, SEEK_END) == 0) {
        length = fread(block, 1, BLOCK, file);
    }
    while (length > 0 && is_white(block[length - 1])) {
        length--;
    }
    for (size_t i = 0; i < length && i < HALF; i++) {
        features[2 * HALF - 1 - i] = block[length - 1 - i];
    }
    return fclose(file) == 0;
}

static int
identify(fer_context *ctx, const char *model, const char *device, int count, char **paths) {
    fer_program *program = NULL;
    fer_compile_options options = {.struct_size = sizeof options, .devices = device};
    FER_CHECK(fer_program_load(ctx, model, &options, &program));
    for (int i = 0; i < count; i++) {
        int32_t features[2 * HALF];
        fer_tensor *in = NULL, *out = NULL;
        struct timespec t0, t1;
        if (!read_features(paths[i], features)) {
            fprintf(stderr, "%s cannot be read\n", paths[i]);
            continue;
        }
        FER_CHECK(fer_tensor_wrap(ctx, FER_I32, 2, (const int64_t[]){1, 2 * HALF}, features, &in));
        clock_gettime(CLOCK_MONOTONIC, &t0);
        FER_CHECK(fer_program_run(program, NULL, &in, 1, &out, 1));
        clock_gettime(CLOCK_MONOTONIC, &t1);
        const float *scores = fer_tensor_data(out);
        int best = 0;
        for (int k = 1; k < (int)fer_tensor_element_count(out); k++) {
            best = scores[k] > scores[best] ? k : best;
        }
        double ms = difftime(t1.tv_sec, t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) * 1e-6;
        printf("%-8s %-14s %6.4f %8.2f ms  %s\n", device, labels[best], scores[best], ms, paths[i]);
        fer_tensor_release(in);
        fer_tensor_release(out);
    }
    uint64_t lines = 0;
    FER_CHECK(fer_program_placement_count(program, &lines));
    for (uint64_t i = 0; i < lines; i++) {
        fer_placement line = {.struct_size = sizeof line};
        FER_CHECK(fer_program_placement(program, i, &line));
        printf("  node %-50s %-18s on %s\n", line.node, line.op, line.device);
    }
    fer_program_release(program);
    return 0;
}

int main(int argc, char **argv) {
    fer_context *ctx = NULL;
    uint32_t count = 0;
    FILE *file = argc > 3 ? fopen(argv[2], "r") : NULL;
    for (int i = 0; file != NULL && i < 512 && fscanf(file, "%31s", labels[i]) == 1; i++) {
    }
    if (file == NULL || fclose(file) != 0) {
        return fputs("usage: identify_files MODEL LABELS FILE...\n", stderr), 2;
    }
    FER_CHECK(fer_context_create(NULL, &ctx));
    FER_CHECK(fer_context_device_count(ctx, &count));
    for (uint32_t i = 0; i < count; i++) {
        fer_device *device = NULL;
        fer_device_info info = {.struct_size = sizeof info};
        FER_CHECK(fer_context_device(ctx, i, &device));
        FER_CHECK(fer_device_get_info(device, &info));
        if (info.is_default && identify(ctx, argv[1], info.name, argc - 3, argv + 3) != 0) {
            return 1;
        }
        fer_device_release(device);
    }
    fer_context_release(ctx);
    return 0;
}
