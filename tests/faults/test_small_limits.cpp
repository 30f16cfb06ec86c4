// SPDX-License-Identifier: BSL-1.0
// Batch systems limit the address space of a process and the length of its files: what
// is reserved shrinks, and all goes on.
#include "futures/futures.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/sanitizer.hpp"
#include "support/start_methods.hpp"

#include <sys/resource.h>

#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr rlim_t megabyte = rlim_t{1} << 20U;

struct Limits {
    rlim_t addresses;
    rlim_t file;
};

void set_limit(__rlimit_resource what, rlim_t most) {
    struct rlimit limit {};
    ::getrlimit(what, &limit);
    limit.rlim_cur = most;
    if (::setrlimit(what, &limit) != 0) {
        throw std::runtime_error("setrlimit");
    }
}

void expect(bool holds, const char* what) {
    if (!holds) {
        throw std::runtime_error(what);
    }
}

std::string text_of(std::size_t size) {
    return std::string(size, 'x');
}

void use_queues(const mp::Context& context) {
    std::vector<mp::Queue<int>> queues;
    for (int i = 0; i < 10; ++i) {
        queues.push_back(context.Queue<int>());
        queues.back().put(i);
    }
    std::vector<mp::Queue<std::string>> texts;
    for (int i = 0; i < 10; ++i) {
        texts.push_back(context.Queue<std::string>());
        texts.back().put(text_of(200'000));
        expect(texts.back().get() == text_of(200'000), "a large item");
    }
    for (int i = 0; i < 10; ++i) {
        expect(queues[static_cast<std::size_t>(i)].get() == i, "an item");
    }
}

void use_pool(const mp::Context& context, int workers, std::size_t size, int count) {
    futures::ProcessPoolExecutor pool({.max_workers = workers, .mp_context = context});
    const std::vector<std::size_t> sizes(static_cast<std::size_t>(count), size);
    for (const std::string& text : pool.map(text_of, sizes)) {
        expect(text.size() == size, "a result");
    }
    const auto length = [](const std::string& text) {
        return text.size();
    };
    const std::vector<std::string> texts(10, text_of(size));
    // A few at a time: all of them need not fit.
    for (const std::size_t found : pool.map({.buffersize = 4}, length, texts)) {
        expect(found == size, "an argument");
    }
}

std::string sends_too_much(std::size_t length) {
    const auto size_of = [](const std::string& text) {
        return text.size();
    };
    try {
        futures::this_pool().submit(size_of, text_of(length)).result();
    } catch (const mp::SerializationError&) {
        return mp::detail::describe_exception(std::current_exception());
    }
    return "";
}

/// In a process of its own.
int submit_too_much_in_a_task(const mp::Context& context) {
    return test::run_in_fork([&] {
        set_limit(RLIMIT_FSIZE, 32 * megabyte);
        {
            futures::ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context}
            );
            const std::string text =
                pool.submit(sends_too_much, std::size_t{40'000'000}).result();
            const bool told = text.find("too long") != std::string::npos;
            const bool lost = pool.statistics().workers_lost != 0;
            if (!told || lost) {
                std::cerr << "a call that is too long: " << text << std::endl;
                mp::stop_helpers();
                return 1;
            }
        }
        mp::stop_helpers();
        return 0;
    });
}

/// All of it within the limits, in a process of its own.
int use_all(const mp::Context& context, Limits limits, int workers, std::size_t size) {
    return test::run_in_fork([&] {
        set_limit(RLIMIT_AS, limits.addresses);
        set_limit(RLIMIT_FSIZE, limits.file);
        try {
            const mp::Lock lock = context.Lock();
            mp::Array<double> array = context.Array<double>(1000);
            array[3] = 1;
            use_queues(context);
            auto process = context.Process([] {});
            process.start();
            process.join();
            expect(process.exitcode() == 0, "a process");
            use_pool(context, 2, size, 20);
            use_pool(context, workers, size, 60);
        } catch (const std::exception& error) {
            std::cerr << "within limits: " << error.what() << std::endl;
            mp::stop_helpers();
            return 1;
        }
        mp::stop_helpers();
        return 0;
    });
}

}  // namespace

// Sanitizers need terabytes of addresses.
TEST_CASE("R9: what is reserved fits RLIMIT_AS", "[faults][slow][no-asan][no-tsan]") {
    const auto context = each_pool_start_method();
    const rlim_t most = GENERATE(8000U, 3000U, 1500U) * megabyte;
    CHECK(
        use_all(context, {.addresses = most, .file = RLIM_INFINITY}, 8, megabyte) == 0
    );
}

TEST_CASE("R9: many workers fit RLIMIT_AS", "[faults][slow][no-asan][no-tsan]") {
    const auto context = each_pool_start_method();
    CHECK(
        use_all(
            context, {.addresses = 3000 * megabyte, .file = RLIM_INFINITY}, 32, 300'000
        ) == 0
    );
}

TEST_CASE("R9: what is reserved fits RLIMIT_FSIZE", "[faults][slow]") {
    const auto context = each_pool_start_method();
    const rlim_t most = GENERATE(1000U, 100U, 10U) * megabyte;
    CHECK(
        use_all(context, {.addresses = RLIM_INFINITY, .file = most}, 4, megabyte) == 0
    );
}

TEST_CASE(
    "R9 ray::test_object_store::full_store: results in small arenas wait for room, and "
    "are not lost; one that never fits fails alone",
    "[faults][slow][no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    const int status = test::run_in_fork([&] {
        set_limit(RLIMIT_FSIZE, 4 * megabyte);
        futures::ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context});
        std::vector<futures::Future<std::string>> futures;
        for (int i = 0; i < 50; ++i) {
            futures.push_back(pool.submit(text_of, std::size_t{900'000}));
        }
        // All are kept while the workers go on.
        futures::wait(futures);
        for (auto& future : futures) {
            expect(future.result().size() == 900'000, "a result");
        }
        const auto workers = pool.workers();
        bool refused = false;
        try {
            pool.submit(text_of, std::size_t{9'000'000}).result();
        } catch (const std::exception& error) {
            refused =
                std::string(error.what()).find("RLIMIT_FSIZE") != std::string::npos;
        }
        expect(pool.submit(text_of, std::size_t{10}).result().size() == 10, "a task");
        expect(pool.workers() == workers, "the same workers");
        pool.shutdown();
        mp::stop_helpers();
        return refused ? 0 : 1;
    });
    CHECK(status == 0);
}

TEST_CASE(
    "R9: a message of less than half a small arena fits, however it grows",
    "[faults][slow][no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    const int status = test::run_in_fork([&] {
        set_limit(RLIMIT_FSIZE, 10 * megabyte);
        futures::ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context});
        const auto pieces = [](std::size_t count) {
            return std::vector<std::string>(count, text_of(10'000));
        };
        const auto size = [](const std::vector<std::string>& texts) {
            return texts.size();
        };
        // 4 MB: two of them do not stand side by side.
        for (const std::size_t count : {220U, 400U}) {
            for (int i = 0; i < 3; ++i) {
                expect(pool.submit(pieces, count).result().size() == count, "a result");
                expect(
                    pool.submit(size, pieces(count)).result() == count, "an argument"
                );
            }
        }
        pool.shutdown();
        mp::stop_helpers();
        return 0;
    });
    CHECK(status == 0);
}

TEST_CASE(
    "R9: a call of a task that is too long for the pool costs no worker", "[faults]"
) {
    CHECK(submit_too_much_in_a_task(each_pool_start_method()) == 0);
}
