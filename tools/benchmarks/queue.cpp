// SPDX-License-Identifier: BSL-1.0
// Items of 64 bytes through a queue between processes.
#include "mp/mp.hpp"

#include "bench.hpp"

#include <boost/interprocess/ipc/message_queue.hpp>

#include <unistd.h>

#include <array>
#include <string>
#include <vector>

namespace bench {

namespace {

using Item = std::array<char, 64>;

constexpr std::size_t bound = 1000;

void put_items(mp::Queue<Item> queue, int count) {
    const Item item{};
    for (int i = 0; i < count; ++i) {
        queue.put(item);
    }
}

void get_items(mp::Queue<Item> queue, int count) {
    for (int i = 0; i < count; ++i) {
        keep(queue.get());
    }
}

void put_texts(mp::Queue<std::string> queue, int count) {
    const std::string text(64, 'x');
    for (int i = 0; i < count; ++i) {
        queue.put(text);
    }
}

void send_back(mp::Queue<int> in, mp::Queue<int> out) {
    for (int item = in.get(); item >= 0; item = in.get()) {
        out.put(item);
    }
}

/// So many producers and consumers, each of `count` items.
void pass_items(int pairs, int count) {
    const auto ctx = mp::get_context("fork");
    mp::Queue<Item> queue(bound);
    std::vector<mp::Process> others;
    for (int i = 0; i < pairs; ++i) {
        others.push_back(ctx.Process(put_items, queue, count));
        if (i > 0) {
            others.push_back(ctx.Process(get_items, queue, count));
        }
    }
    for (auto& other : others) {
        other.start();
    }
    get_items(queue, count);
    for (auto& other : others) {
        other.join();
    }
}

struct Throughput {
    double one;  ///< items a second, one producer and one consumer
    double two;
};

/// In turns: which processors the system gives them changes from minute to minute. Of
/// so many items that the start of two more processes does not count.
Throughput throughput(int count, int rounds) {
    std::vector<double> one;
    std::vector<double> two;
    for (int i = 0; i < rounds; ++i) {
        one.push_back(count / seconds_of(1, [&] { pass_items(1, count); }));
        two.push_back(count / seconds_of(1, [&] { pass_items(2, count / 2); }));
    }
    return {median(std::move(one)), median(std::move(two))};
}

double throughput_of_texts(int count, int rounds) {
    return count / seconds_of(rounds, [&] {
               mp::Queue<std::string> queue;
               auto producer = mp::get_context("fork").Process(put_texts, queue, count);
               producer.start();
               for (int i = 0; i < count; ++i) {
                   keep(queue.get());
               }
               producer.join();
           });
}

double boost_throughput(int count, int rounds) {
    namespace ipc = boost::interprocess;
    const std::string name = "mp_bench_" + std::to_string(::getpid());
    ipc::message_queue::remove(name.c_str());
    ipc::message_queue queue(ipc::create_only, name.c_str(), bound, sizeof(Item));
    const double seconds = seconds_of(rounds, [&] {
        auto producer = mp::get_context("fork").Process([&] {
            const Item item{};
            for (int i = 0; i < count; ++i) {
                queue.send(&item, sizeof item, 0);
            }
        });
        producer.start();
        Item item;
        ipc::message_queue::size_type size = 0;
        unsigned priority = 0;
        for (int i = 0; i < count; ++i) {
            queue.receive(&item, sizeof item, size, priority);
        }
        producer.join();
    });
    ipc::message_queue::remove(name.c_str());
    return count / seconds;
}

double round_trip(int count, int rounds) {
    mp::Queue<int> there;
    mp::Queue<int> back;
    auto other = mp::get_context("fork").Process(send_back, there, back);
    other.start();
    const double seconds = seconds_of(rounds, [&] {
        for (int i = 0; i < count; ++i) {
            there.put(i);
            back.get();
        }
    });
    there.put(-1);
    other.join();
    return seconds / count * 1e6;
}

}  // namespace

void bench_queue(Table& table, const Settings& settings) {
    const auto python = python_figures(settings, "queue");
    const int rounds = settings.quick ? 2 : 7;
    const int count = settings.quick ? 20'000 : 500'000;
    const std::string group = "queue, 64 bytes an item";
    const auto [one, two] =
        settings.quick ? throughput(count, 2) : throughput(2 * count, 31);
    const double boost = boost_throughput(count, rounds);
    Row rival{
        group, "one to one", Unit::per_second, one, {}, "Boost message_queue", 1.5};
    rival.others.emplace_back("Boost message_queue", boost);
    table.add(std::move(rival));
    Row text{
        group,
        "one to one, std::string",
        Unit::per_second,
        throughput_of_texts(count, rounds),
        {},
        "CPython",
        50};
    add_figure(text, "CPython", python, "throughput");
    table.add(std::move(text));
    Row crowd{group, "two to two", Unit::per_second, two, {}, "one to one", 1.0};
    crowd.others.emplace_back("one to one", one);
    table.add(std::move(crowd));
    Row trip{
        group,
        "there and back",
        Unit::microseconds,
        round_trip(settings.quick ? 1000 : 20'000, rounds),
        {},
        "CPython",
        100};
    add_figure(trip, "CPython", python, "round_trip");
    table.add(std::move(trip));
}

}  // namespace bench
