// SPDX-License-Identifier: BSL-1.0
// A host with a main of its own, which loads a library by hand and calls it.
#include <dlfcn.h>

#include <cstdio>

int main() {
    void* const plug_in = ::dlopen(EXAMPLE_PLUG_IN, RTLD_NOW | RTLD_LOCAL);
    if (plug_in == nullptr) {
        std::fprintf(stderr, "%s\n", ::dlerror());
        return 1;
    }
    auto* const count_squares =
        reinterpret_cast<void (*)(const char*)>(::dlsym(plug_in, "count_squares"));
    count_squares(EXAMPLE_WORKER);
}
