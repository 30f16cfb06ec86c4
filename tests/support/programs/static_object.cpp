// SPDX-License-Identifier: BSL-1.0
// A program with a static object, which writes a line to a file where it is made and
// where it is destroyed. Argument: the start method; NOTES in the environment: the
// file.
#include "futures/futures.hpp"
#include "mp/mp.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void note(const char* what) {
    // Set by the test, and inherited by every process of this program.
    const int fd =
        ::open(std::getenv("NOTES"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dprintf(fd, "%s %d\n", what, ::getpid());
    ::close(fd);
}

class Noted {
public:
    Noted() { note("made"); }

    ~Noted() { note(maker_ == ::getpid() ? "destroyed" : "destroyed by another"); }

    Noted(const Noted&) = delete;
    Noted& operator=(const Noted&) = delete;

    bool works() const { return maker_ > 0; }

private:
    pid_t maker_ = ::getpid();
};

const Noted object;

bool use() {
    // Made by each process that comes here.
    static const Noted own;
    return object.works() && own.works();
}

void use_or_fail() {
    if (!use()) {
        throw mp::SystemExit(3);
    }
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    mp::set_start_method(argv[1]);
    int failures = 0;
    for (int i = 0; i < 3; ++i) {
        mp::Process process(use_or_fail);
        process.start();
        process.join();
        failures += process.exitcode() == 0 ? 0 : 1;
    }
    if (mp::get_start_method() != mp::StartMethod::fork) {
        // Where the pool's thread is beside, nobody can tell whether the list of exit
        // handlers was whole at a fork.
        futures::ProcessPoolExecutor pool(2);
        failures += pool.submit(use).result() ? 0 : 1;
    }
    return failures;
}
