// SPDX-License-Identifier: BSL-1.0
// Runs rival.py for a group and reads its "name value" lines.
#include "bench.hpp"
#include "raw.hpp"

#include <iostream>
#include <sstream>

namespace bench {

std::map<std::string, double>
python_figures(const Settings& settings, const std::string& what) {
    std::map<std::string, double> figures;
    if (settings.python_script.empty()) {
        return figures;
    }
    std::vector<std::string> arguments{"python3", settings.python_script, what};
    if (settings.quick) {
        arguments.emplace_back("--quick");
    }
    std::istringstream lines(raw_output_of(arguments));
    std::string name;
    double value = 0;
    while (lines >> name >> value) {
        figures[name] = value;
    }
    if (figures.empty()) {
        std::cerr << "bench: python3 gave no figures for " << what << '\n';
    }
    return figures;
}

}  // namespace bench
