// SPDX-License-Identifier: BSL-1.0
// Workers send their log lines to the parent, where one thread writes them all.
#include <futures/process_pool.hpp>
#include <iostream>
#include <mp/queue.hpp>
#include <optional>
#include <string>
#include <thread>

std::optional<mp::Queue<std::string>> lines;  // in a worker, once it is initialised

void send_lines_to(mp::Queue<std::string> queue) {
    lines = queue;
}

void log_line(const std::string& text) {
    lines->put(mp::current_process().name() + ": " + text);
}

int work(int number) {
    log_line("working on " + std::to_string(number));
    return number;
}

int main() {
    mp::Queue<std::string> queue;
    std::thread writer([&queue] {
        try {
            while (true) {
                std::cout << queue.get() << '\n';
            }
        } catch (const mp::ShutDown&) {
            // No worker is left that could log.
        }
    });
    {
        futures::ProcessPoolExecutor pool({
            .max_workers = 1,
            .initializer = mp::call(send_lines_to, queue),
            .worker_name_prefix = "worker",
        });
        pool.submit(work, 1).result();
        pool.submit(work, 2).result();
    }
    queue.shutdown();
    writer.join();
}
