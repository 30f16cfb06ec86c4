// SPDX-License-Identifier: BSL-1.0
// A build: steps over files, each of which begins when the files that it reads are
// there. One step crashes, one hangs, one takes all memory. What needs their files is
// not built; the rest is.
#include "futures/futures.hpp"
#include "mp/mp.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// ---- the steps: the paths of the files that they read, and of the one they write

std::string count_words(const std::string& text, const std::string& out) {
    std::ifstream in(text);
    const std::istream_iterator<std::string> begin(in);
    const std::istream_iterator<std::string> end;
    std::ofstream(out) << std::distance(begin, end) << '\n';
    return out;
}

std::string add_up(const std::string& a, const std::string& b, const std::string& out) {
    int first = 0;
    int second = 0;
    std::ifstream(a) >> first;
    std::ifstream(b) >> second;
    std::ofstream(out) << first + second << '\n';
    return out;
}

std::string crash(const std::string& /*text*/, const std::string& /*out*/) {
    std::abort();
}

std::string hang(const std::string& /*text*/, const std::string& /*out*/) {
    for (;;) {
        ::pause();
    }
}

std::string take_all_memory(const std::string& /*text*/, const std::string& /*out*/) {
    std::vector<std::string> pages;
    for (;;) {
        pages.emplace_back(mp::MiB, 'x');
    }
}

// ---- what has become of a step

std::string content(const std::string& path) {
    std::string line;
    std::getline(std::ifstream(path) >> std::ws, line);
    return line;
}

std::string outcome(const futures::Future<std::string>& step) {
    try {
        return "built: " + content(step.result());
    } catch (const futures::DependencyError& error) {
        return "not run: what it needs failed, " + std::to_string(error.steps()) +
               " back";
    } catch (const futures::TaskTimeout&) {
        return "stopped: it took longer than its limit";
    } catch (const futures::WorkerLost& lost) {
        return "lost: its worker " + lost.report().cause();
    } catch (const mp::ResourceLimitExceeded&) {
        return "failed: it took more memory than its limit";
    }
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    char name[] = "/tmp/pipeline-XXXXXX";
    const fs::path folder = ::mkdtemp(name);
    const auto file = [&](const std::string& base) {
        return (folder / base).string();
    };
    std::ofstream(file("poem.txt")) << "the moon is up\nthe cat is out\n";
    std::ofstream(file("letter.txt")) << "dear all\n";

    {
        futures::ProcessPoolExecutor pool(
            {.max_workers = 2, .on_worker_loss = futures::OnWorkerLoss::isolate}
        );
        std::vector<std::pair<std::string, futures::Future<std::string>>> steps;
        const auto add = [&](const std::string& target, auto future) {
            steps.emplace_back(target, future);
            return future;
        };

        // From the leaves up: a future among the arguments is a file to wait for.
        const auto poem =
            add("poem.words",
                pool.submit(count_words, file("poem.txt"), file("poem.words")));
        const auto letter =
            add("letter.words",
                pool.submit(count_words, file("letter.txt"), file("letter.words")));
        const auto scan = add(
            "scan.words",
            pool.submit({.name = "scan"}, crash, file("scan.txt"), file("scan.words"))
        );
        const auto mail = add(
            "mail.words",
            pool.submit({.timeout = 300ms}, hang, file("mail.txt"), file("mail.words"))
        );
        const auto map =
            add("map.words",
                pool.submit(
                    {.limits = {.memory = 64 * mp::MiB}},
                    take_all_memory,
                    file("map.txt"),
                    file("map.words")
                ));
        const auto texts =
            add("texts.total", pool.submit(add_up, poem, letter, file("texts.total")));
        const auto images =
            add("images.total", pool.submit(add_up, scan, map, file("images.total")));
        add("twice.total", pool.submit(add_up, texts, texts, file("twice.total")));
        add("mail.total", pool.submit(add_up, poem, mail, file("mail.total")));
        add("all.total", pool.submit(add_up, texts, images, file("all.total")));

        for (const auto& [target, step] : steps) {
            std::cout << target << ": " << outcome(step) << '\n';
        }
    }
    fs::remove_all(folder);
}
