// Softmax cross-entropy fused with the head (docs/NUMERICS.md §8): logits exist for at most 512 rows,
// which is one chunk of the weight gradient's chain.
#include "attention.c"
#include "matmul.c"

// Logits of one block of rows into the shared scratch behind the product's own buffers.
typedef struct {
  float *logits;
  int64_t product_bytes, logits_bytes;
} head_buffers;

static head_buffers head_layout(int64_t rows, int64_t columns, int64_t vocabulary, char *shared) {
  int64_t block = smaller(rows, PSI_CHUNK);
  int64_t bytes = product_scratch(block, vocabulary, columns).shared;
  bytes = larger(bytes, product_scratch(block, columns, vocabulary).shared);
  bytes = larger(bytes, product_scratch(vocabulary, columns, block).shared);
  return (head_buffers){(float *)(shared + bytes), bytes, round_up(block * vocabulary * (int64_t)sizeof(float), 64)};
}

static psi_scratch head_scratch(const psi_call *call) {
  const int64_t *in = call->integer;
  head_buffers b = head_layout(in[0], in[1], in[2], 0);
  return (psi_scratch){b.product_bytes + b.logits_bytes, 0};
}

// Turns a row of logits into its loss; with `scale`, into the gradient of the logits too.
static float loss_of_row(float *z, int64_t vocabulary, int32_t target, const float *scale, psi_worker *w) {
  if (target >= vocabulary) psi_fail(w), target = -1;
  if (target < 0) {
    if (scale) memset(z, 0, vocabulary * sizeof(float));
    return 0;
  }
  float at_target = z[target], maximum = row_maximum(z, vocabulary), sum = row_exponentials(z, vocabulary, maximum);
  if (scale) {
    float inverse = 1.0f / sum, factor = *scale, target_probability = z[target] * inverse - 1.0f;
    vn vi = vn_set(inverse), vf = vn_set(factor);
    int64_t j = 0;
    for (; j + WIDTH <= vocabulary; j += WIDTH) vn_store(z + j, vn_mul(vn_mul(vn_load(z + j), vi), vf));
    for (; j < vocabulary; j++) z[j] = z[j] * inverse * factor;
    z[target] = target_probability * factor;
  }
  return (scalar_log(sum) + maximum) - at_target;
}

static void head_loss(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0], *weight = call->argument[1];
  const int32_t *targets = call->argument[2];
  float *losses = call->argument[3];
  int32_t *predictions = call->argument[4];
  int64_t rows = call->integer[0], C = call->integer[1], V = call->integer[2];
  head_buffers b = head_layout(rows, C, V, w->shared);
  for (int64_t first = 0; first < rows; first += PSI_CHUNK) {
    int64_t count = smaller(PSI_CHUNK, rows - first);
    product logits = {.a = x + first * C, .b = weight, .out = b.logits, .M = count, .N = V, .K = C, .a_stride = C, .b_stride = C, .out_stride = V, .transpose_b = 1};
    run_product(&logits, w);
    psi_barrier(w);
    for (int64_t r; (r = psi_next_task(w)) < count;) {
      float *z = b.logits + r * V;
      if (predictions) predictions[first + r] = row_argmax(z, V);
      losses[first + r] = loss_of_row(z, V, targets[first + r], 0, w);
    }
    psi_barrier(w);
  }
}

static void head_loss_gradient(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0], *weight = call->argument[1], *scale = call->argument[3];
  const int32_t *targets = call->argument[2];
  float *losses = call->argument[4], *dx = call->argument[5], *dw = call->argument[6];
  int64_t rows = call->integer[0], C = call->integer[1], V = call->integer[2];
  int accumulate = (int)call->integer[3];
  head_buffers b = head_layout(rows, C, V, w->shared);
  for (int64_t first = 0; first < rows; first += PSI_CHUNK) {
    int64_t count = smaller(PSI_CHUNK, rows - first);
    product logits = {.a = x + first * C, .b = weight, .out = b.logits, .M = count, .N = V, .K = C, .a_stride = C, .b_stride = C, .out_stride = V, .transpose_b = 1};
    run_product(&logits, w);
    psi_barrier(w);
    for (int64_t r; (r = psi_next_task(w)) < count;) losses[first + r] = loss_of_row(b.logits + r * V, V, targets[first + r], scale, w);
    psi_barrier(w);
    product input = {.a = b.logits, .b = weight, .out = dx + first * C, .M = count, .N = C, .K = V, .a_stride = V, .b_stride = C, .out_stride = C};
    run_product(&input, w);
    psi_barrier(w);
    if (dw) {
      product weights = {.a = b.logits, .b = x + first * C, .out = dw, .M = V, .N = C, .K = count, .a_stride = V, .b_stride = C, .out_stride = C, .transpose_a = 1, .accumulate = accumulate || first > 0};
      run_product(&weights, w);
      psi_barrier(w);
    }
  }
}
