// SPDX-License-Identifier: BSL-1.0
// Producers and consumers: a stream with clones of its ends, which end it when the last
// one is closed.
#include "concurrency/concurrency.hpp"

#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

using concurrency::create_memory_object_stream;
using concurrency::MemoryObjectReceiveStream;
using concurrency::MemoryObjectSendStream;
using concurrency::Task;
using concurrency::TaskGroup;

using Item = std::pair<std::string, int>;

Task<> produce(std::string name, MemoryObjectSendStream<Item> stream) {
    for (int number = 0; number != 3; ++number) {
        Item item(name, number);
        co_await stream.send(std::move(item));
    }
}

Task<> consume(MemoryObjectReceiveStream<Item> stream, std::vector<Item>& results) {
    try {
        for (;;) {
            results.push_back(co_await stream.receive());
        }
    } catch (const concurrency::EndOfStream&) {
        // All producers have closed their ends.
    }
}

Task<> run_all() {
    std::vector<Item> results;
    co_await concurrency::create_task_group([&](TaskGroup& group) -> Task<> {
        auto [send, receive] = create_memory_object_stream<Item>(2);
        group.start_soon(produce, "a", send.clone());
        group.start_soon(produce, "b", send.clone());
        group.start_soon(consume, receive.clone(), std::ref(results));
        co_return;
    });
    std::sort(results.begin(), results.end());
    for (const auto& [name, number] : results) {
        std::cout << name << ' ' << number << '\n';
    }

    auto [send, receive] = create_memory_object_stream<std::string>(1);
    send.send_nowait("what fits");
    try {
        send.send_nowait("what does not");
    } catch (const concurrency::WouldBlock&) {
        std::cout << "it is full\n";
    }
    std::cout << receive.receive_nowait() << '\n';
    send.close();
    try {
        co_await receive.receive();
    } catch (const concurrency::EndOfStream&) {
        std::cout << "the end\n";
    }
}

int main() {
    concurrency::run(run_all);
}
