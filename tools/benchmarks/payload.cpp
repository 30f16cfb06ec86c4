// SPDX-License-Identifier: BSL-1.0
// Large arguments and results.
#include "futures/process_pool.hpp"

#include "bench.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace bench {

namespace {

using Bytes = std::vector<std::byte>;

std::size_t size_of(Bytes bytes) {
    return bytes.size();
}

Bytes same(Bytes bytes) {
    return bytes;
}

}  // namespace

void bench_payload(Table& table, const Settings& settings) {
    const auto python = python_figures(settings, "payload");
    const int rounds = settings.quick ? 1 : 5;
    const std::string group = "process pool, 2 workers, large payloads, one at a time";
    futures::ProcessPoolExecutor pool(2);

    struct Size {
        std::string name;
        std::size_t bytes;
        int count;
        std::optional<double> target;
    };

    for (const Size& size :
         {Size{"1M", std::size_t{1} << 20U, 64, 5},
          Size{"64M", std::size_t{1} << 26U, 4, {}}}) {
        const Bytes data(size.bytes, std::byte{'x'});
        const double total = static_cast<double>(size.bytes) * size.count;
        Row in{
            group,
            size.name + "B argument",
            Unit::gigabytes,
            0,
            {},
            "CPython",
            size.target};
        in.ours = total / 1e9 / seconds_of(rounds, [&] {
                      for (int i = 0; i != size.count; ++i) {
                          keep(pool.submit(size_of, data).result());
                      }
                  });
        const double copy = total / 1e9 / seconds_of(rounds, [&] {
                                Bytes warm(size.bytes);
                                for (int i = 0; i != size.count; ++i) {
                                    warm = data;
                                    keep(warm);
                                }
                            });
        in.others.emplace_back("memcpy", copy);
        add_figure(in, "CPython", python, size.name);
        table.add(std::move(in));

        Row echo{
            group,
            size.name + "B there and back",
            Unit::gigabytes,
            0,
            {},
            "CPython",
            {}};
        echo.ours = total / 1e9 / seconds_of(rounds, [&] {
                        for (int i = 0; i != size.count; ++i) {
                            keep(pool.submit(same, data).result().size());
                        }
                    });
        add_figure(echo, "CPython", python, "echo_" + size.name);
        table.add(std::move(echo));
    }
}

}  // namespace bench
