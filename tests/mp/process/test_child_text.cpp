// SPDX-License-Identifier: BSL-1.0
// Text in the buffers of streams: what waited in the parent is written once, by the
// parent; what a child prints arrives once, however it ends; standard input is empty.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using test::TempDir;

void open_over(int fd, const std::string& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND, 0600);
    ::dup2(file, fd);
    ::close(file);
}

std::map<std::string, int> words_of(const std::string& path) {
    std::map<std::string, int> words;
    std::ifstream file(path);
    for (std::string word; file >> word;) {
        ++words[word];
    }
    return words;
}

// How a child ends.
enum class End { returns, throws, throws_exit, exits, exits_in_thread, terminates };

void end(End how) {
    switch (how) {
    case End::returns:
        return;
    case End::throws:
        throw std::runtime_error("error-text");
    case End::throws_exit:
        throw mp::SystemExit(0);
    case End::exits:
        std::exit(0);
    case End::exits_in_thread:
        std::thread([] { std::exit(0); }).join();
        return;
    case End::terminates:
        std::terminate();
    }
}

void print_and_end(End how, bool synchronised, std::string path) {
    std::ios::sync_with_stdio(synchronised);
    std::printf("child-printf ");
    std::cout << "child-cout ";
    std::clog << "child-clog ";
    // Never closed.
    std::FILE* const file = std::fopen(path.c_str(), "a");
    std::fputs("child-file ", file);
    end(how);
}

void print_where_the_parent_printed(std::FILE* file) {
    std::fputs("child-same-file ", file);
}

// Begins with nothing in the buffers, and with no text of the test program's.
template <class Body>
int run_apart(Body body) {
    std::cout.flush();
    std::clog.flush();
    std::fflush(nullptr);
    return test::run_in_fork(body);
}

}  // namespace

TEST_CASE("what a child prints arrives once, however it ends", "[process]") {
    const mp::Context context = each_start_method();
    const auto how = GENERATE(
        End::returns,
        End::throws,
        End::throws_exit,
        End::exits,
        End::exits_in_thread,
        End::terminates
    );
    const bool synchronised = GENERATE(true, false);
    CAPTURE(context.get_start_method(), static_cast<int>(how), synchronised);
    const TempDir dir;
    const std::string out = (dir.path() / "out").string();
    const std::string err = (dir.path() / "err").string();
    const std::string file = (dir.path() / "file").string();
    const int status = run_apart([&] {
        open_over(1, out);
        open_over(2, err);
        std::ios::sync_with_stdio(synchronised);
        // All of this still waits when the child begins; stdout itself is written out.
        std::FILE* const kept = std::fopen(file.c_str(), "a");
        std::fputs("parent-file ", kept);
        std::printf("parent-printf ");
        std::cout << "parent-cout ";
        std::clog << "parent-clog ";
        mp::Process child = context.Process(print_and_end, how, synchronised, file);
        child.start();
        child.join();
        mp::stop_helpers();
        std::cout.flush();
        std::clog.flush();
        std::fflush(nullptr);
        return child.exitcode() == -SIGABRT ? 2 : child.exitcode().value();
    });
    CHECK(status == (how == End::throws ? 1 : how == End::terminates ? 2 : 0));
    auto words = words_of(out);
    CHECK(words["parent-printf"] == 1);
    CHECK(words["parent-cout"] == 1);
    CHECK(words["child-printf"] == 1);
    CHECK(words["child-cout"] == 1);
    words = words_of(err);
    CHECK(words["parent-clog"] == 1);
    CHECK(words["child-clog"] == 1);
    CHECK(words["error-text"] == (how == End::throws ? 1 : 0));
    words = words_of(file);
    CHECK(words["parent-file"] == 1);
    CHECK(words["child-file"] == 1);
}

TEST_CASE(
    "what waits while another thread holds the stream is the parent's",
    "[process][no-asan][no-tsan]"
) {
    const TempDir dir;
    const std::string out = (dir.path() / "out").string();
    const int status = run_apart([&] {
        open_over(1, out);
        std::printf("parent-printf ");
        auto [held, holder] = mp::Pipe();
        std::thread other([&, &holder = holder] {
            ::flockfile(stdout);
            holder.send(1);
            holder.recv<int>();
            ::funlockfile(stdout);
        });
        held.recv<int>();
        mp::Process child({.start_method = mp::StartMethod::fork}, [] {
            std::printf("child-printf ");
        });
        child.start();
        child.join();
        held.send(1);
        other.join();
        std::fflush(stdout);
        return child.exitcode().value();
    });
    CHECK(status == 0);
    auto words = words_of(out);
    CHECK(words["parent-printf"] == 1);
    CHECK(words["child-printf"] == 1);
}

TEST_CASE("a forked child may go on with a file of its parent's", "[process]") {
    const TempDir dir;
    const std::string path = (dir.path() / "file").string();
    const int status = run_apart([&] {
        std::FILE* const file = std::fopen(path.c_str(), "a");
        std::fputs("parent-file ", file);
        // Text that goes to no file is the child's as all memory is.
        char* text = nullptr;
        std::size_t size = 0;
        std::FILE* const memory = ::open_memstream(&text, &size);
        std::fputs("in-memory ", memory);
        std::ostringstream kept;
        auto* const before = std::cout.rdbuf(kept.rdbuf());
        std::cout << "in-string ";
        mp::Process child({.start_method = mp::StartMethod::fork}, [&] {
            print_where_the_parent_printed(file);
            std::fclose(memory);
            const bool whole = std::string(text) == "in-memory ";
            if (!whole || kept.str() != "in-string ") {
                throw mp::SystemExit(3);
            }
        });
        child.start();
        child.join();
        std::cout.rdbuf(before);
        std::fclose(memory);
        std::free(text);
        std::fclose(file);
        return child.exitcode().value();
    });
    CHECK(status == 0);
    auto words = words_of(path);
    CHECK(words["parent-file"] == 1);
    CHECK(words["child-same-file"] == 1);
}

namespace {

void read_input() {
    std::string line;
    if (std::getchar() != EOF || std::getline(std::cin, line) ||
        std::wcin.get() != WEOF) {
        throw mp::SystemExit(3);
    }
}

}  // namespace

TEST_CASE("standard input is empty, also what was read ahead", "[process]") {
    const mp::Context context = each_start_method();
    const bool by_stdin = GENERATE(true, false);
    CAPTURE(context.get_start_method(), by_stdin);
    const TempDir dir;
    const std::string input = (dir.path() / "input").string();
    std::ofstream(input) << "first\nsecond\nthird\n";
    const int status = run_apart([&] {
        open_over(0, input);
        if (by_stdin) {
            if (std::getchar() != 'f') {
                return 1;
            }
        } else {
            std::ios::sync_with_stdio(false);
            std::string line;
            std::getline(std::cin, line);
            if (line != "first") {
                return 2;
            }
        }
        mp::Process child = context.Process(read_input);
        child.start();
        child.join();
        mp::stop_helpers();
        // The parent goes on where it was.
        std::string line;
        if (by_stdin) {
            return std::getchar() == 'i' ? child.exitcode().value() : 4;
        }
        std::getline(std::cin, line);
        return line == "second" ? child.exitcode().value() : 5;
    });
    CHECK(status == 0);
}
