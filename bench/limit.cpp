// What this machine does at best with THREADS at once: read bandwidth (bytes/s), and throughput (values/s) of exp, divide,
// fused multiply-add and log-product in loops that stay in registers or the first-level
// cache.  Each job is long enough for the scheduler to spread the threads over the cores.  Prints "name rate".
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int WIDTH = 8;
#elif defined(__AVX__)
constexpr int WIDTH = 4;
#else
constexpr int WIDTH = 2;
#endif
typedef double vec __attribute__((vector_size(8 * WIDTH)));
typedef int64_t ivec __attribute__((vector_size(8 * WIDTH)));
#if defined(__x86_64__)
#define FLOAT_REGISTER "x"
#else
#define FLOAT_REGISTER "w"
#endif
constexpr int CELLS = 256;            // vectors; 16 KB at the widest
constexpr int64_t LONG = 96 << 20;    // bytes that a thread reads: beyond its caches

struct Buffers {
    alignas(64) vec x[CELLS];
    std::vector<double> stream = std::vector<double>(LONG / 8 + 8, 1.0);
    Buffers() { for (int i = 0; i < CELLS; ++i) for (int j = 0; j < WIDTH; ++j) x[i][j] = 0.1 + 0.003 * i + 0.05 * j; }
};
// As far as the compiler knows, the value is used.
template <class T> inline void keep(T& x) { asm volatile("" : : "r"(&x) : "memory"); }

double read(const Buffers& b) {
    const vec* p = reinterpret_cast<const vec*>((reinterpret_cast<uintptr_t>(b.stream.data()) + 63) & ~uintptr_t(63));
    vec sum[8] = {};
    const int passes = 10;
    for (int k = 0; k < passes; ++k) {
        for (int64_t i = 0; i + 8 <= LONG / int64_t(sizeof(vec)); i += 8)
            for (int j = 0; j < 8; ++j) sum[j] += p[i + j];
        keep(sum);
    }
    return double(passes) * LONG;
}
// Runs `value` over all cells, `rounds` times; the sums keep the compiler from leaving anything out.
template <class F> inline double over_cells(const Buffers& b, int rounds, F value) {
    for (int k = 0; k < rounds; ++k) {
        vec sum[8] = {};
        for (int i = 0; i < CELLS; i += 8) for (int j = 0; j < 8; ++j) sum[j] += value(b.x[i + j]);
        keep(sum);
    }
    return double(rounds) * CELLS * WIDTH;
}
double exps(const Buffers& b) {  // Cody and Waite's reduction and a Taylor polynomial; no care for the ends of the range
    return over_cells(b, 20000, [](vec x) {
        vec whole = x * 0x1.71547652b82fep0 + 0x1.8p52, n = whole - 0x1.8p52;
        vec r = (x - n * 0x1.62e42fefa38p-1) - n * 0x1.ef35793c7673p-45, s = vec{} + 1. / 479001600;
        for (double c : {1. / 39916800, 1. / 3628800, 1. / 362880, 1. / 40320, 1. / 5040, 1. / 720, 1. / 120, 1. / 24,
                         1. / 6, .5, 1., 1.})
            s = s * r + c;
        return (vec)((ivec)s + ((ivec)whole << 52));
    });
}
double divide(const Buffers& b) { return over_cells(b, 40000, [](vec x) { return 1.0 / x; }); }
double multiply_add(const Buffers& b) {
    const int rounds = 10000000, chains = 12;
    vec a = b.x[0], c = b.x[1], sum[chains] = {};
    for (int k = 0; k < rounds; ++k) {
        for (vec& s : sum) s = s * a + c;
        for (vec& s : sum) asm volatile("" : "+" FLOAT_REGISTER (s));
    }
    return double(rounds) * chains * WIDTH;
}
double log_product(const Buffers& b) {  // the product of 1 + e t over rows; the exponent is split off every eighth time
    const int rounds = 100000, chains = 4;
    for (int k = 0; k < rounds; ++k) {
        vec product[chains];
        ivec exponent[chains] = {};
        for (vec& v : product) v = vec{} + 1.0;
        for (int i = 0; i < CELLS; i += 8 * chains) {
            for (int r = 0; r < 8; ++r)
                for (int j = 0; j < chains; ++j) product[j] *= b.x[i + r * chains + j] * b.x[3] + 1.0;
            for (int j = 0; j < chains; ++j) {
                ivec bits = (ivec)product[j], e = (bits >> 52) - 1023;
                exponent[j] += e, product[j] = (vec)(bits - (e << 52));
            }
        }
        keep(product), keep(exponent);
    }
    return double(rounds) * CELLS * WIDTH;
}

int main(int count, char** given) {
    const int threads = count > 1 ? atoi(given[1]) : 1;
    std::vector<Buffers> buffers(threads);
    struct { const char* name; double (*run)(const Buffers&); } const jobs[] = {
        {"read", read}, {"exp", exps}, {"divide", divide}, {"log_product", log_product}, {"fma", multiply_add}};
    for (auto& job : jobs) {
        double best = 0;
        for (int t = 0; t < 6; ++t) {
            std::vector<double> done(threads);
            std::vector<std::thread> team;
            auto began = std::chrono::steady_clock::now();
            for (int i = 0; i < threads; ++i) team.emplace_back([&, i] { done[i] = job.run(buffers[i]); });
            double work = 0;
            for (int i = 0; i < threads; ++i) team[i].join(), work += done[i];
            std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
            best = work / took.count() > best ? work / took.count() : best;
        }
        printf("%s %.6g\n", job.name, best);
    }
}
