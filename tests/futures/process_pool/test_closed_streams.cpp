// SPDX-License-Identifier: BSL-1.0
// A program whose standard streams are closed, at its start or later: all of them or
// some, by each method. Whatever it prints gets lost, and nothing else does. Hundreds
// of processes start here, which takes minutes under AddressSanitizer.
#include "futures/process_pool.hpp"
#include "mp/forkserver.hpp"
#include "mp/listener.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr int each = 3;

/// Text that would do harm wherever it landed.
void print_to_all() {
    static const std::string line(200, '!');
    for (const int stream : {1, 2}) {
        static_cast<void>(!::write(stream, line.data(), line.size()));
    }
}

/// Those streams of `mixture` are closed, or open on /dev/null.
bool nothing_stands_there(int mixture) {
    for (int stream = 0; stream < 3; ++stream) {
        std::array<char, 200> target{};
        const std::string link = "/proc/self/fd/" + std::to_string(stream);
        const auto size = ::readlink(link.c_str(), target.data(), target.size());
        const std::string_view text(
            target.data(), size < 0 ? 0 : static_cast<std::size_t>(size)
        );
        if ((mixture & (1 << stream)) != 0 && !text.empty() && text != "/dev/null") {
            return false;
        }
    }
    return true;
}

bool all_closed(int mixture) {
    for (int stream = 0; stream < 3; ++stream) {
        if ((mixture & (1 << stream)) != 0 && ::fcntl(stream, F_GETFD) >= 0) {
            return false;
        }
    }
    return true;
}

/// The others are open on /dev/null: what is printed there is nobody's to read.
void close_streams(int mixture) {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int stream = 0; stream < 3; ++stream) {
        ::dup2(null, stream);
    }
    ::close(null);
    for (int stream = 0; stream < 3; ++stream) {
        if ((mixture & (1 << stream)) != 0) {
            ::close(stream);
        }
    }
}

void child(mp::Queue<int> queue, mp::Lock lock, mp::Value<int> count, int mixture) {
    print_to_all();
    const auto held = lock.acquire();
    count.set(count.get() + 1);
    queue.put(nothing_stands_there(mixture) ? 1 : -100);
    print_to_all();
    lock.release();
}

int noisy(int x) {
    print_to_all();
    return x * 2;
}

void answer(mp::Connection connection) {
    print_to_all();
    connection.send(std::string("hi"));
}

void write_seven(mp::SharedMemory memory) {
    print_to_all();
    memory.buf()[1] = std::byte{7};
}

bool processes_work(const mp::Context& context, int mixture) {
    mp::Lock lock;
    mp::Queue<int> queue;
    mp::Value<int> count(0);
    print_to_all();
    std::vector<mp::Process> children;
    for (int i = 0; i < each; ++i) {
        children.push_back(context.Process(child, queue, lock, count, mixture));
        children.back().start();
    }
    int sum = 0;
    for (int i = 0; i < each; ++i) {
        sum += queue.get(30s);
    }
    for (auto& one : children) {
        if (!one.join(30s) || one.exitcode() != 0) {
            return false;
        }
    }
    return sum == each && count.get() == each;
}

bool pool_works(const mp::Context& context) {
    futures::ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context});
    int sum = 0;
    for (const int x : pool.map(noisy, std::vector{1, 2, 3, 4})) {
        sum += x;
    }
    return sum == 20;
}

bool connections_work(const mp::Context& context) {
    auto [reader, writer] = mp::Pipe(mp::Duplex::no);
    mp::Process process = context.Process(answer, writer);
    process.start();
    writer.close();
    print_to_all();
    const bool heard = reader.recv<std::string>() == "hi";
    return process.join(30s) && process.exitcode() == 0 && heard;
}

bool memory_works(const mp::Context& context) {
    mp::SharedMemory memory({.create = true, .size = 4096});
    memory.buf()[0] = std::byte{1};
    mp::Process process = context.Process(write_seven, memory);
    process.start();
    print_to_all();
    const bool ended = process.join(30s) && process.exitcode() == 0;
    const bool written =
        memory.buf()[0] == std::byte{1} && memory.buf()[1] == std::byte{7};
    memory.unlink();
    return ended && written;
}

bool listener_works() {
    mp::connection::Listener listener(
        {.family = mp::connection::Family::unix_socket, .authkey = "k"}
    );
    std::thread server([&] {
        auto client = listener.accept(30s);
        print_to_all();
        client.send(std::string("hello"));
    });
    auto client = mp::connection::Client(
        {.address = listener.address(), .authkey = "k", .timeout = 30s}
    );
    print_to_all();
    const bool heard = client.recv<std::string>() == "hello";
    server.join();
    return heard;
}

/// 0, or the number of what went wrong.
int use_everything(const mp::Context& context, int mixture) {
    print_to_all();
    if (!processes_work(context, mixture)) {
        return 1;
    }
    if (!pool_works(context)) {
        return 2;
    }
    if (!connections_work(context)) {
        return 3;
    }
    if (!memory_works(context)) {
        return 4;
    }
    if (!listener_works()) {
        return 5;
    }
    return all_closed(mixture) ? 0 : 6;
}

}  // namespace

// [no-tsan]: threads after a fork of a process with threads.
TEST_CASE(
    "Standard streams: closed at the start, in each mixture",
    "[process_pool][no-tsan][no-asan][slow]"
) {
    const mp::Context context = each_pool_start_method();
    const int mixture = GENERATE(1, 2, 3, 4, 5, 6, 7);
    CHECK(test::run_in_fork_for(120s, [&] {
              close_streams(mixture);
              const int wrong = use_everything(context, mixture);
              mp::stop_helpers();
              return wrong;
          }) == 0);
}

TEST_CASE(
    "Standard streams: closed between two uses",
    "[process_pool][no-tsan][no-asan][slow]"
) {
    const mp::Context context = each_pool_start_method();
    const int mixture = GENERATE(1, 6, 7);
    CHECK(test::run_in_fork_for(120s, [&] {
              close_streams(0);
              futures::ProcessPoolExecutor pool(
                  {.max_workers = 1, .mp_context = context}
              );
              int wrong = pool.submit(noisy, 1).result() == 2 ? 0 : 10;
              close_streams(mixture);
              wrong = wrong != 0 ? wrong : use_everything(context, mixture);
              wrong = wrong != 0 || pool.submit(noisy, 2).result() == 4 ? wrong : 12;
              pool.shutdown();
              mp::stop_helpers();
              return wrong;
          }) == 0);
}

TEST_CASE(
    "Standard streams: a thread that prints all the time reaches nothing of ours",
    "[process_pool][no-tsan][no-asan][slow]"
) {
    const mp::Context context = each_pool_start_method();
    CHECK(test::run_in_fork_for(120s, [&] {
              close_streams(7);
              std::atomic<bool> over{false};
              std::thread printer([&] {
                  while (!over) {
                      print_to_all();
                  }
              });
              int wrong = 0;
              for (int round = 0; round < 5 && wrong == 0; ++round) {
                  wrong = use_everything(context, 7);
              }
              over = true;
              printer.join();
              mp::stop_helpers();
              return wrong;
          }) == 0);
}
