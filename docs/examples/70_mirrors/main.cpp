// SPDX-License-Identifier: BSL-1.0
// A thousand files from mirrors of which some are slow, broken, or hang up half-way,
// and one is shut down in the middle: that costs attempts, and no file. Their sums are
// checked in other processes.
#include "futures/process_pool.hpp"
#include "mp/mp.hpp"

#include "concurrency/asio.hpp"
#include "concurrency/concurrency.hpp"
#include "mirrors.hpp"

#include <cstdint>
#include <functional>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

using concurrency::CancelScope;
using concurrency::create_task_group;
using concurrency::Task;
using concurrency::TaskGroup;

constexpr int file_count = 1000;
constexpr int when_one_is_shut_down = 300;

/// What is seen of the run.
struct Report {
    int fetched = 0;
    int attempts = 0;
    int wrong = 0;
};

class Fetcher {
public:
    Fetcher(std::vector<unsigned short> ports, CancelScope& first_mirror)
        : ports_(std::move(ports)), first_mirror_(first_mirror) {}

    /// From whichever of two mirrors is first; from others, if that fails.
    Task<std::string> fetch(int file) {
        concurrency::RetryOptions options;
        options.attempts(60).base_delay(0.001).max_delay(0.02);
        auto attempt = [this, file] {
            return fetch_from_two(file);
        };
        std::string content = co_await concurrency::retry(attempt, options);
        if (++report.fetched == when_one_is_shut_down) {
            first_mirror_.cancel();
        }
        co_return content;
    }

    Report report;

private:
    Task<std::string> fetch_from_two(int file) {
        const int attempt = report.attempts++;
        const auto port = [&](int which) {
            return ports_[static_cast<std::size_t>(attempt + which) % ports_.size()];
        };
        Task<std::string> first = fetch_file(port(0), file);
        Task<std::string> second = fetch_file(port(1), file);
        auto racing = concurrency::race(std::move(first), std::move(second));
        co_return co_await concurrency::fail_after(2, std::move(racing));
    }

    const std::vector<unsigned short> ports_;
    CancelScope& first_mirror_;
};

Task<> fetch_all(Fetcher& fetcher, futures::ProcessPoolExecutor& pool) {
    std::vector<int> files(file_count);
    for (int file = 0; file != file_count; ++file) {
        files[static_cast<std::size_t>(file)] = file;
    }
    auto fetch_and_check = [&](int file) -> Task<> {
        const std::string content = co_await fetcher.fetch(file);
        const std::uint64_t sum = co_await concurrency::run_in(pool, sum_of, content);
        fetcher.report.wrong += sum == sum_of(content_of(file)) ? 0 : 1;
    };
    constexpr int at_once = 16;
    co_await concurrency::bounded_map(fetch_and_check, files, at_once);
}

Task<> run_all(futures::ProcessPoolExecutor& pool) {
    CancelScope first_mirror;
    co_await create_task_group([&](TaskGroup& group) -> Task<> {
        std::vector<unsigned short> ports;
        auto serve_first = [&](concurrency::TaskStatus<unsigned short>& status
                           ) -> Task<> {
            auto serving = [&] {
                return serve(Manners::good, status);
            };
            co_await first_mirror.run(serving);
        };
        ports.push_back(co_await group.start<unsigned short>(serve_first));
        for (const Manners manners :
             {Manners::good,
              Manners::good,
              Manners::slow,
              Manners::broken,
              Manners::hangs_up}) {
            const auto port = co_await group.start<unsigned short>(serve, manners);
            ports.push_back(port);
        }
        Fetcher fetcher(ports, first_mirror);
        co_await fetch_all(fetcher, pool);
        group.cancel();
        std::cout << fetcher.report.fetched << " files, " << fetcher.report.wrong
                  << " of them wrong\n"
                  << "a mirror was shut down in the middle: "
                  << (first_mirror.cancelled_caught() ? "True" : "False") << '\n'
                  << "some had to be tried again: "
                  << (fetcher.report.attempts > file_count ? "True" : "False") << '\n';
    });
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    futures::ProcessPoolExecutor pool(2);
    concurrency::run([&] { return run_all(pool); });
}
